/** Requests that remember where they go, and that can ask for the raw socket without an Upgrade header. */
import http from "node:http";
import type { Target } from "./target.ts";

/**
 * Attach and exec start may take the socket over whether or not the client sent `Upgrade`. Node hands a
 * socket out for requests whose `upgrade` is set, so it is set for these paths, too; the server's
 * shouldUpgradeCallback then decides by the route.
 */
const takeoverPaths = /\/(?:containers\/.+\/attach|exec\/[^/]+\/start)(?:\?|$)/;

/** Here dockerd looks at `Upgrade` alone, for Node only `Connection` makes that a wish. */
const upgradePaths = /^(?:\/v[\d.]+)?\/(?:session|grpc)(?:\?|$)/;

/** An incoming request. */
export class ApiRequest extends http.IncomingMessage {
  /** The client's own wish (Node's property, before takeoverPaths). */
  wantsUpgrade = false;
  /** Found once, used by the upgrade decision and by the dispatcher. */
  target: Target | undefined;
  /** Backs `upgrade`. */
  upgradeWanted: boolean | null = null;

  /** Without the header the answer of these paths is an ordinary refusal. */
  get lacksUpgrade(): boolean {
    return this.headers.upgrade === undefined && upgradePaths.test(this.url ?? "");
  }

  get upgrade(): boolean | null {
    return this.upgradeWanted;
  }

  set upgrade(value: boolean | null) {
    // The base class's constructor sets it before there is a URL; the parser after.
    this.wantsUpgrade = value === true && this.headers.upgrade !== undefined;
    this.upgradeWanted = value === true || (value === false && this.fitsTakeover());
  }

  /** True until the route has been asked. */
  private fitsTakeover(): boolean {
    if (this.target !== undefined) return false;
    const url = this.url ?? "";
    return takeoverPaths.test(url) || upgradePaths.test(url);
  }
}
