/** A service with a method of each kind, made at run time: for this package's tests only. */
import { create, createFileRegistry, type DescService } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_wrappers,
} from "@bufbuild/protobuf/wkt";
import type { Channel } from "./channel.ts";
import { type Implementation, implement } from "./implement.ts";
import type { CallContext, CallOptions } from "./service-types.ts";

/** Requests and responses: google.protobuf.StringValue. */
export interface Text {
  value: string;
}

const type = ".google.protobuf.StringValue";

function makeEcho(): DescService {
  const proto = create(FileDescriptorProtoSchema, {
    name: "test/v1/echo.proto",
    package: "test.v1",
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto"],
    service: [
      {
        name: "EchoService",
        method: [
          { name: "Unary", inputType: type, outputType: type },
          {
            name: "Repeat",
            inputType: type,
            outputType: type,
            serverStreaming: true,
          },
          {
            name: "Join",
            inputType: type,
            outputType: type,
            clientStreaming: true,
          },
          {
            name: "Chat",
            inputType: type,
            outputType: type,
            clientStreaming: true,
            serverStreaming: true,
          },
        ],
      },
    ],
  });
  const set = create(FileDescriptorSetSchema, {
    file: [file_google_protobuf_wrappers.proto, proto],
  });
  const service = createFileRegistry(set).getService("test.v1.EchoService");
  if (service === undefined) throw new Error("echo service did not build");
  return service;
}

export const Echo: DescService = makeEcho();

/** Handlers of the echo service, typed. */
export interface EchoHandlers {
  unary?(request: Text, context: CallContext): Promise<Text>;
  repeat?(request: Text, context: CallContext): AsyncIterable<Text>;
  join?(requests: AsyncIterable<Text>, context: CallContext): Promise<Text>;
  chat?(requests: AsyncIterable<Text>, context: CallContext): AsyncIterable<Text>;
}

/** The echo client, typed. */
export interface EchoClient {
  unary(request: Text, options?: CallOptions): Promise<Text>;
  repeat(request: Text, options?: CallOptions): AsyncIterable<Text>;
  join(requests: AsyncIterable<Text>, options?: CallOptions): Promise<Text>;
  chat(requests: AsyncIterable<Text>, options?: CallOptions): AsyncIterable<Text>;
}

export const implementEcho = (handlers: EchoHandlers): Implementation =>
  implement(Echo, handlers as Parameters<typeof implement>[1]);

export const echoClient = (channel: Channel): EchoClient =>
  channel.client(Echo) as unknown as EchoClient;
