/** Every method of every service, passed on to the service that has it. */
import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, MethodImpl } from "@connectrpc/connect";
import { ContainerService, ExecService } from "@gantry/proto/container";
import { EventService } from "@gantry/proto/event";
import { Health } from "@gantry/proto/grpc-health";
import { v1, v1alpha } from "@gantry/proto/grpc-reflection";
import { ContentService, ImageService, SnapshotService } from "@gantry/proto/image";
import { NetworkService } from "@gantry/proto/network";
import { SystemService } from "@gantry/proto/system";
import { VolumeService } from "@gantry/proto/volume";
import { type CallOptions, type Channel, reflector } from "@gantry/rpc";
import type { BackendChannels } from "../backends.ts";
import { toConnectError } from "./connect-error.ts";
import { subscribeToAll } from "./event-subscription.ts";
import { checkHealth, watchHealth } from "./health.ts";

/** Services of container-service. */
const containerServices = [
  ContainerService,
  ExecService,
  NetworkService,
  VolumeService,
  SystemService,
] as const satisfies readonly DescService[];

/** Services of image-service. */
const imageServices = [
  ImageService,
  ContentService,
  SnapshotService,
] as const satisfies readonly DescService[];

/** Puts everything into a router: proxies, the merged events, health, reflection. */
export function registerProxies(router: ConnectRouter, channels: BackendChannels): void {
  const { containerService, imageService, backends } = channels;
  for (const service of containerServices) proxyService(router, service, containerService);
  for (const service of imageServices) proxyService(router, service, imageService);
  router.rpc(EventService.method.subscribe, (request, context) =>
    translated(subscribeToAll(backends.eventSources, request, context.signal)),
  );
  const owners = new Map<string, readonly Channel[]>([
    ["", []],
    [EventService.typeName, [containerService, imageService]],
    ...containerServices.map((each) => [each.typeName, [containerService]] as const),
    ...imageServices.map((each) => [each.typeName, [imageService]] as const),
  ]);
  router.service(Health, {
    check: ({ service }, { signal }) => translatedOne(checkHealth(owners, service, signal)),
    watch: ({ service }, { signal }) => translated(watchHealth(owners, service, signal)),
  });
  const answer = reflector([
    ...containerServices,
    ...imageServices,
    EventService,
    Health,
    v1.ServerReflection,
    v1alpha.ServerReflection,
  ]);
  router.rpc(v1.ServerReflection.method.serverReflectionInfo, async function* (requests) {
    for await (const request of requests) {
      yield {
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(request),
      };
    }
  });
  router.rpc(v1alpha.ServerReflection.method.serverReflectionInfo, async function* (requests) {
    for await (const request of requests) {
      yield {
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(request),
      };
    }
  });
}

type AnyCall = (input: unknown, options: CallOptions) => unknown;

function proxyService(router: ConnectRouter, service: DescService, channel: Channel): void {
  const client = channel.client(service) as unknown as Record<string, AnyCall>;
  for (const method of service.methods) {
    const call = client[method.localName];
    if (call !== undefined) router.rpc(method, proxyMethod(method, call));
  }
}

/** A handler of the method's kind: unary answers are promises, streams iterables. */
function proxyMethod(method: DescMethod, call: AnyCall): MethodImpl<DescMethod> {
  const streams =
    method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming";
  const handler = (input: unknown, context: HandlerContext): unknown => {
    const answer = call(input, { signal: context.signal, ...deadline(context) });
    return streams
      ? translated(answer as AsyncIterable<Message>)
      : translatedOne(answer as Promise<Message>);
  };
  return handler as unknown as MethodImpl<DescMethod>;
}

/** The client's deadline, passed on. */
function deadline(context: HandlerContext): { timeoutMs?: number } {
  const timeoutMs = context.timeoutMs();
  return timeoutMs === undefined ? {} : { timeoutMs };
}

async function translatedOne<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw toConnectError(error);
  }
}

async function* translated<T>(answers: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* answers;
  } catch (error) {
    throw toConnectError(error);
  }
}
