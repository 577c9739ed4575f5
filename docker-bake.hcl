# Images of all services (`docker buildx bake`) and the checks of `npm run check`, one target each
# (`docker buildx bake validate`).

variable "TAG" {
  default = "dev"
}

variable "REGISTRY" {
  default = "gantry"
}

group "default" {
  targets = ["image-service", "container-service", "api-gateway", "build-service", "nats"]
}

group "validate" {
  targets = ["check-format", "check-types", "check-lint", "check-proto"]
}

# Images and checks are made from the same sources, whose npm packages are installed once.
target "source" {
  dockerfile = "deploy/docker/source.Dockerfile"
}

target "base" {
  dockerfile = "deploy/docker/base.Dockerfile"
  contexts = {
    source = "target:source"
  }
}

# Every service is built over the same base, named as a context, so that it is built once.
target "_service" {
  contexts = {
    base = "target:base"
  }
}

target "image-service" {
  inherits   = ["_service"]
  dockerfile = "deploy/docker/image-service.Dockerfile"
  tags       = ["${REGISTRY}/image-service:${TAG}"]
}

target "container-service" {
  inherits   = ["_service"]
  dockerfile = "deploy/docker/container-service.Dockerfile"
  tags       = ["${REGISTRY}/container-service:${TAG}"]
}

target "api-gateway" {
  inherits   = ["_service"]
  dockerfile = "deploy/docker/api-gateway.Dockerfile"
  tags       = ["${REGISTRY}/api-gateway:${TAG}"]
}

target "build-service" {
  inherits   = ["_service"]
  dockerfile = "deploy/docker/build-service.Dockerfile"
  tags       = ["${REGISTRY}/build-service:${TAG}"]
}

target "nats" {
  dockerfile = "deploy/docker/nats.Dockerfile"
  tags       = ["${REGISTRY}/nats:${TAG}"]
}

target "_check" {
  dockerfile = "deploy/docker/validate.Dockerfile"
  contexts = {
    source = "target:source"
  }
  output     = ["type=cacheonly"]
}

target "check-format" {
  inherits = ["_check"]
  args     = { CHECK = "format" }
}

target "check-types" {
  inherits = ["_check"]
  args     = { CHECK = "types" }
}

target "check-lint" {
  inherits = ["_check"]
  args     = { CHECK = "lint" }
}

target "check-proto" {
  inherits = ["_check"]
  args     = { CHECK = "proto" }
}
