import { crashSuite } from "./crash-suite.ts";
import { loadedForm } from "./forms.ts";
import { shimSuite } from "./suite.ts";

shimSuite("ShimService, loaded", loadedForm);
crashSuite("ShimService, loaded", loadedForm);
