// What pages and components are written with. Text in templates is always text: nothing here makes HTML of a string.
import htm from "../vendor/htm.js";
import { createElement, render, Fragment } from "../vendor/preact.js";
import * as preact from "../vendor/preact.js";
import { useEffect, useRef, useState, useMemo, useCallback, useLayoutEffect } from "../vendor/hooks.js";
import { signal, computed, effect, batch, useSignal, useComputed } from "../vendor/signals.js";

const h = preact.h || createElement;
export const html = htm.bind(h);
export {
  h, render, Fragment, useEffect, useRef, useState, useMemo, useCallback, useLayoutEffect,
  signal, computed, effect, batch, useSignal, useComputed,
};
