// Carries the active span from one call to the next: what the SDK's Node package brings, in the few lines needed here.

import { ROOT_CONTEXT } from '@opentelemetry/api';
import { AsyncLocalStorage } from 'node:async_hooks';

export class AsyncLocalStorageContextManager {
  #storage = new AsyncLocalStorage();

  active() {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with(context, work, self, ...args) {
    return this.#storage.run(context, () => work.apply(self, args));
  }

  bind(context, target) {
    return typeof target === 'function' ? (...args) => this.with(context, target, undefined, ...args) : target;
  }

  enable() {
    return this;
  }

  disable() {
    return this;
  }
}
