/** The page of sessions: its times stay fresh. */

import { keepTimesFresh } from "./time.js";

keepTimesFresh();
