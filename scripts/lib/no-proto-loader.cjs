// Stands in for @grpc/proto-loader in bundles: our descriptors come from protobuf-es, and grpc-js asks
// for it only to serve channelz and ORCA load reports, which are off.
exports.loadSync = () => {
  throw new Error("proto-loader is not part of this bundle");
};
