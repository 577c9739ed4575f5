/** Disk space for the changes of a database that are made while others have filled the disk. */
import { loadKernel } from "./load.ts";

/** SQLite begins its log anew after 1000 pages (wal_autocheckpoint) of 4 KiB with a header of 24 bytes each. */
const logBytes = 1040 * (4096 + 24);

/**
 * Takes the space that the write-ahead log of an open SQLite database comes to need. A full disk refuses no change of
 * state then: containers are paused, stopped and removed, images and volumes, too, which is what makes room again.
 * The log is gone, and its space with it, when the database is closed. Opens the log only: closing another descriptor
 * of the database itself would take SQLite's locks away (fcntl(2)).
 * Errors: those of fallocate(2), with their errno.
 */
export async function reserveLogSpace(database: string): Promise<void> {
  await loadKernel().reserveSpace(`${database}-wal`, logBytes);
}
