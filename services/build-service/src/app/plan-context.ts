/** What planning a Dockerfile stands on. */
import type { Platform } from "@gantry/oci";
import type { Stage, Stages } from "../domain/frontend/stages.ts";
import type { BuildRequest } from "../ports/build.ts";
import type { BuildInputs, LayoutImage } from "../ports/build-inputs.ts";
import type { BaseImage } from "../ports/layers.ts";

/** What planning needs from outside. */
export interface PlanContext {
  readonly request: BuildRequest;
  readonly inputs: BuildInputs;
  readonly file: Stages;
  readonly escape: string;
  readonly target: Stage;
  readonly platform: Platform;
  /** Finds an image; several askers of one get one answer. @param platform undefined: the host's */
  readonly base: (
    reference: string,
    platform: Platform,
    /** The named context that says so; undefined: the Dockerfile does. */
    contextName?: string,
  ) => Promise<BaseImage>;
  /** Takes an image over from the client. */
  readonly layout: (image: LayoutImage, name: string, platform: Platform) => Promise<BaseImage>;
  /** A reference as displays show it; undefined: it is none. */
  readonly fullName: (reference: string) => string | undefined;
  /** Texts of history, and of failures. */
  readonly style: "buildkit" | "classic";
}
