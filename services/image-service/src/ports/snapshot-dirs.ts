/** Folders of snapshots: `<n>/fs` (the tree), `<n>/work` and `<n>/merged` (for overlay). */
export interface SnapshotDirs {
  /** The folder of a snapshot's tree. */
  treeOf(id: number): string;
  workOf(id: number): string;
  mountpointOf(id: number): string;
  /** An empty tree, to stand below a view without parent. */
  readonly emptyTree: string;
  /** What every container has: mount points and `/.dockerenv`. Stands below all layers of a writable snapshot. */
  readonly baseTree: string;
  /** Makes the folders under a number that was never used; the tree's root looks like `like`'s. */
  create(kind: "layer" | "active" | "view", like: string | undefined): number;
  /** Makes a tree's root look like another directory: owner, mode, times. */
  resemble(id: number, like: string): void;
  /** Resolves when the files of all trees, as they are now, survive a power cut. */
  sync(): Promise<void>;
  /** Takes a snapshot's folders away at once; their files are deleted in the background. */
  remove(id: number): void;
  /** A writable snapshot becomes a layer: what overlay kept beside its tree goes. */
  seal(id: number): void;
  /** Bytes (as du counts) and inodes of a tree. */
  usage(id: number, signal: AbortSignal): Promise<{ sizeBytes: number; inodes: number }>;
}
