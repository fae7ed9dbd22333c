// What pages use. See ../README.md.
export * from "./basic.js";
export * from "./dialog.js";
export * from "./spark.js";
export * from "./table.js";
export * from "./toast.js";
export { Reason, translated } from "./reason.js";
export { dialectWord, engineWord, failureAdvice, failureWord, phaseWord, reasonWord, statusWord } from "./words.js";
export { useLoad } from "./load.js";
