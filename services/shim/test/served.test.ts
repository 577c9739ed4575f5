import { servedForm } from "./forms.ts";
import { shimSuite } from "./suite.ts";

shimSuite("ShimService, served", servedForm);
