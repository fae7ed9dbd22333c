// What pages use. See ../README.md.
export * from "./basic.js";
export * from "./dialog.js";
export * from "./spark.js";
export * from "./table.js";
export * from "./toast.js";
export { phaseWord, statusWord } from "./words.js";
export { useLoad } from "./load.js";
