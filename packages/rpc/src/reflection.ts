import {
  createRegistry,
  type DescFile,
  type DescService,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { v1, v1alpha } from "@gantry/proto/grpc-reflection";
import { status } from "@grpc/grpc-js";
import { type Implementation, implement } from "./implement.ts";

type Request = v1.ServerReflectionRequest | v1alpha.ServerReflectionRequest;

/** An answer, in the shape that both versions of the protocol share. */
type Answer =
  | {
      case: "fileDescriptorResponse";
      value: { fileDescriptorProto: Uint8Array[] };
    }
  | {
      case: "allExtensionNumbersResponse";
      value: { baseTypeName: string; extensionNumber: number[] };
    }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | {
      case: "errorResponse";
      value: { errorCode: number; errorMessage: string };
    };

/** Server reflection, in both versions that tools speak, over the descriptors of these services. */
export function reflectionServices(services: readonly DescService[]): Implementation[] {
  const all = [...services, v1.ServerReflection, v1alpha.ServerReflection];
  const answer = reflect(all);
  return [
    implement(v1.ServerReflection, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) {
          const { host } = request;
          yield {
            validHost: host,
            originalRequest: request,
            messageResponse: answer(request),
          };
        }
      },
    }),
    implement(v1alpha.ServerReflection, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) {
          const { host } = request;
          yield {
            validHost: host,
            originalRequest: request,
            messageResponse: answer(request),
          };
        }
      },
    }),
  ];
}

/** Answers reflection's questions over the descriptors of these services: for servers of other makes. */
export function reflect(services: readonly DescService[]): (request: Request) => Answer {
  const files = new Map(
    services.flatMap((service) => closure(service.file)).map((file) => [file.proto.name, file]),
  );
  // Built at the first question: most servers are never asked.
  let registry: Registry | undefined;
  const symbols = (): Registry => (registry ??= createRegistry(...files.values()));
  return ({ messageRequest }) => {
    switch (messageRequest.case) {
      case "listServices": {
        const service = services.map((each) => ({ name: each.typeName }));
        return { case: "listServicesResponse", value: { service } };
      }
      case "fileByFilename":
        return fileAnswer(files.get(messageRequest.value), messageRequest.value);
      case "fileContainingSymbol":
        return fileAnswer(fileOf(symbols(), messageRequest.value), messageRequest.value);
      case "allExtensionNumbersOfType":
        return {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName: messageRequest.value, extensionNumber: [] },
        };
      case "fileContainingExtension":
        return failure(status.NOT_FOUND, "no extensions here");
      case undefined:
        return failure(status.INVALID_ARGUMENT, "no question in the request");
    }
  };
}

/** A file and all that it imports, imports first. */
function closure(file: DescFile, seen = new Set<DescFile>()): DescFile[] {
  if (seen.has(file)) return [];
  seen.add(file);
  return [...file.dependencies.flatMap((dependency) => closure(dependency, seen)), file];
}

/** The file that declares a symbol: a type or service, or a member of one. */
function fileOf(registry: Registry, symbol: string): DescFile | undefined {
  const declared = registry.get(symbol);
  if (declared !== undefined) return declared.file;
  const owner = registry.get(symbol.slice(0, Math.max(0, symbol.lastIndexOf("."))));
  return owner?.file;
}

function fileAnswer(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return failure(status.NOT_FOUND, `not found: ${asked}`);
  const fileDescriptorProto = closure(file)
    .reverse()
    .map((each) => toBinary(FileDescriptorProtoSchema, each.proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
