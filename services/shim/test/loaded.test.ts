import { loadedForm } from "./forms.ts";
import { shimSuite } from "./suite.ts";

shimSuite("ShimService, loaded", loadedForm);
