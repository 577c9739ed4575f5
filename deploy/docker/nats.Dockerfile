# The message bus of the engine, from Debian's package.
FROM debian:bookworm-slim
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
  --mount=type=cache,target=/var/lib/apt,sharing=locked \
  apt-get update && apt-get install --yes --no-install-recommends nats-server
ENTRYPOINT ["nats-server"]
