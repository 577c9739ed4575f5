import { crashSuite } from "./crash-suite.ts";
import { servedForm } from "./forms.ts";
import { shimSuite } from "./suite.ts";

shimSuite("ShimService, served", servedForm);
crashSuite("ShimService, served", servedForm);
