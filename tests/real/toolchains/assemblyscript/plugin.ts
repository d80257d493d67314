// A plugin that marks every response with the header x-custom-header.
export * from "@solo-io/proxy-runtime/proxy";
import {
  Context,
  FilterHeadersStatusValues,
  RootContext,
  registerRootContext,
  stream_context,
} from "@solo-io/proxy-runtime";

class Root extends RootContext {
  // The SDK's own one breaks when there is no configuration.
  onConfigure(size: u32): bool {
    return true;
  }

  createContext(id: u32): Context {
    return new Marker(id, this);
  }
}

class Marker extends Context {
  constructor(id: u32, root: Root) {
    super(id, root);
  }

  onResponseHeaders(count: u32, end: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add("x-custom-header", "custom-value");
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((id: u32) => new Root(id), "plugin");
