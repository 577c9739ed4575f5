/** Rename. */
import { alreadyExists, conflict, hasKind, invalidArgument, toEngineError } from "@gantry/errors";
import { parseContainerName } from "../domain/container-id.ts";
import { type App, change, containerEvent } from "./context.ts";

/** Errors: invalid_argument, already_exists, conflict (being removed). */
export async function renameContainer(app: App, reference: string, given: string): Promise<void> {
  if (reference === "" || given === "") {
    throw invalidArgument("Neither old nor new names may be empty");
  }
  const entry = app.registry.find(reference);
  await entry.serial.run(async () => {
    const name = newName(given);
    const { record, id } = entry;
    if (name === record.name) {
      throw invalidArgument("Renaming a container with the same name as its current name");
    }
    if (entry.removing || record.state.status === "removing") {
      throw conflict(`container ${id} is marked for removal and cannot be renamed`);
    }
    takeNewName(app, name, id);
    const renamed = { ...record, name };
    try {
      const event = containerEvent(renamed, "rename", { oldName: `/${record.name}` });
      await change(app, entry, renamed, [event]);
    } catch (error) {
      app.registry.releaseName(name, id);
      throw error;
    }
    app.registry.releaseName(record.name, id);
    app.networking.rename(id, name);
    await app.store.synced();
  });
}

const problem = "Error when allocating new name: ";

function newName(given: string): string {
  try {
    return parseContainerName(`/${given.replace(/^\//, "")}`);
  } catch (error) {
    throw invalidArgument(`${problem}${toEngineError(error).message}`, { cause: error });
  }
}

function takeNewName(app: App, name: string, id: string): void {
  try {
    app.registry.takeName(name, id);
  } catch (error) {
    if (!hasKind(error, "already_exists")) throw error;
    throw alreadyExists(`${problem}${toEngineError(error).message}`, { cause: error });
  }
}
