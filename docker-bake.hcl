# Images of all services (`docker buildx bake`) and the checks of `npm run check`, one target each
# (`docker buildx bake validate`).

variable "TAG" {
  default = "dev"
}

variable "REGISTRY" {
  default = "gantry"
}

group "default" {
  targets = ["image-service", "container-service", "api-gateway", "build-service"]
}

group "validate" {
  targets = ["check-format", "check-types", "check-lint", "check-proto"]
}

target "base" {
  dockerfile = "deploy/docker/base.Dockerfile"
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

target "_check" {
  dockerfile = "deploy/docker/validate.Dockerfile"
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
