# The base of all services: the pinned Node, the bundles, the native programs. Each service's image is
# this with another command, so that they share every layer but the last.
FROM source AS build
RUN --mount=type=cache,target=/root/.npm \
  --mount=type=cache,target=/var/cache/apt,sharing=locked \
  --mount=type=cache,target=/var/lib/apt,sharing=locked \
  npm run build

FROM debian:bookworm-slim
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
  --mount=type=cache,target=/var/lib/apt,sharing=locked \
  apt-get update \
  && apt-get install --yes --no-install-recommends \
    ca-certificates git iproute2 libatomic1 libisal2 libseccomp2 libstdc++6 nftables
COPY --from=build /src/node_modules/node-linux-*/bin/node /usr/lib/gantry/bin/node
COPY --from=build /src/native/build/Release/gantry.node /usr/lib/gantry/native/build/Release/gantry.node
COPY --from=build /src/native/build/shim /src/native/build/unpack /src/native/build/relay /src/native/build/init /usr/lib/gantry/native/build/
COPY --from=build /src/dist /usr/lib/gantry/dist
ENV MALLOC_ARENA_MAX=1
ENV NODE_COMPILE_CACHE=/var/cache/gantry/compile
ENTRYPOINT ["/usr/lib/gantry/bin/node", "--max-semi-space-size=1", "--v8-pool-size=1", "--no-turbofan", "--no-sparkplug", "--disable-warning=ExperimentalWarning"]
