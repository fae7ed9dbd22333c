// What can be started: where its request goes, and the schema of its form, made of what the API says of itself.
import { get } from "../../core/api.js";

/**
 * `path`: where the request is sent; `{name}` in it is a field of the form that is no part of the body. `first`: dotted
 * paths of what is asked at once. `id(answer)`: of the job it made. `engine`: its name in /engines. `given(query)`: the
 * fields that the page's address fills in.
 */
export const KINDS = [
  {
    name: "diffusion_pipe", engine: "diffusion_pipe", path: "/api/v1/training/start", preview: "/api/v1/training/preview", id: (made) => made.task_id,
    given: ({ dataset }) => (dataset ? { dataset: { directory: [{ path: dataset }] } } : {}),
    first: [
      "description", "model_type", "dataset.directory", "dataset.directory.0.path", "dataset.directory.0.num_repeats", "dataset.resolutions", "config.model",
      "config.adapter.type", "config.adapter.rank", "config.optimizer.type", "config.optimizer.lr", "config.epochs", "config.micro_batch_size_per_gpu",
      "config.save_every_n_epochs", "config.checkpoint_every_n_epochs", "num_gpus",
    ],
  },
  {
    name: "ultralytics", engine: "ultralytics", path: "/api/v1/train/jobs", id: (made) => made.job_id,
    given: ({ dataset_id, version, base_model_id }) => filled({ dataset_id, version, base_model_id }),
    first: ["version", "model_name", "base_model_id", "epochs", "imgsz", "batch", "device"], suggest: { dataset_id: ["/api/v1/datasets", "datasets", (one) => [one.dataset_id, one.filename]] },
  },
  {
    name: "kraken", engine: "kraken", path: "/api/v1/ocr/models/{model_id}/train", id: (made) => made.task_id,
    first: ["epochs", "device"], suggest: { model_id: ["/api/v1/ocr/models", "models", (one) => [one.model_id, one.name]] },
  },
  { name: "script", engine: "script", path: "/api/v1/training/jobs", id: (made) => made.job_id, first: ["args", "description"] },
  {
    name: "preprocessing", engine: "preprocessing", path: "/api/v1/preprocessing/start", id: (made) => made.preprocessing_id,
    first: ["captioner", "prompt_prefix", "resolution"],
  },
];

const filled = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value));

export const kindOf = (path) => KINDS.find((kind) => kind.path === path);

/** {engines: by name, specs: request schema by path}; read once. */
let known = null;
export function describe() {
  known ??= Promise.all([get("/api/v1/engines"), get("/api/v1/openapi.json")]).then(([{ engines }, openapi]) => ({
    engines: Object.fromEntries(engines.map((engine) => [engine.name, engine])),
    schemas: Object.fromEntries(KINDS.map((kind) => [kind.path, request(openapi, kind.path)])),
  }));
  known.catch(() => (known = null));
  return known;
}

function request(openapi, path) {
  const schema = openapi.paths[path]?.post?.requestBody?.content["application/json"]?.schema;
  if (!schema) return null;
  const whole = schema.$ref ? openapi.components.schemas[schema.$ref.split("/").pop()] : schema;
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const added = Object.fromEntries(inPath.map((name) => [name, { type: "integer", minimum: 1 }]));
  return { ...whole, properties: { ...added, ...whole.properties }, required: [...inPath, ...(whole.required ?? [])] };
}

/** Of a kind's form, as it is for what was chosen so far. null: the API has no such request. */
export function formSchema(kind, { engines, schemas }, value) {
  const schema = schemas[kind.path];
  if (!schema || kind.name !== "diffusion_pipe") return schema;
  const engine = engines.diffusion_pipe.parameters;
  const { save, optimization, eval: evaluation, model: table, ...flat } = engine.properties.config.properties; // the groups say the same twice
  const { directories, ...dataset } = engine.properties.dataset.properties;
  const config = { ...engine.properties.config, properties: value.model_type ? { ...flat, model: model(engine, value.model_type, table) } : flat, required: value.model_type ? ["model"] : [] };
  return {
    ...schema, required: ["model_type", "dataset", "config"],
    properties: {
      ...schema.properties, model_type: engine.properties.model_type, config,
      dataset: { ...engine.properties.dataset, properties: dataset, required: ["directory"] },
    },
  };
}

/** The keys of [model] that a model type needs and knows. */
function model(engine, type, table) {
  const told = engine["x-model-types"][type];
  if (!told) return table;
  const text = (name) => [name, /path|type$|^vae$|_model$/.test(name) ? { type: "string" } : {}];
  const free = (name) => [name, table.properties[name] ?? {}];
  const alternatives = [...new Set(told.alternatives.flat())];
  return {
    ...table, required: told.required,
    description: told.alternatives.length ? told.alternatives.map((keys) => keys.join(" + ")).join(" / ") : undefined,
    properties: Object.fromEntries([...told.required.map(text), ...alternatives.map(text), ...told.optional.map(free)]),
    "x-first": alternatives,
  };
}

/** What is asked at once: of a model type, all the ways to name its files. */
export function firstFields(kind, schema) {
  const more = schema.properties.config?.properties?.model?.["x-first"] ?? [];
  return [...kind.first, ...more.map((name) => `config.model.${name}`)];
}

/** The request that a form makes: its address, and its body less what stands in the address. */
export function requestOf(kind, value) {
  const body = { ...value };
  const path = kind.path.replace(/\{(\w+)\}/g, (_, name) => {
    const given = body[name];
    delete body[name];
    return given === undefined ? `{${name}}` : encodeURIComponent(given);
  });
  return { path, body: pruned(body) ?? {} };
}

/** Without what is empty: the item of a list that nobody filled in, an object without a key. */
function pruned(value) {
  if (Array.isArray(value)) {
    const items = value.map(pruned).filter((item) => item !== undefined);
    return items.length ? items : undefined;
  }
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([name, item]) => [name, pruned(item)]).filter(([, item]) => item !== undefined);
  return entries.length ? Object.fromEntries(entries) : undefined;
}

/** What a shell takes as it is, whatever stands in it. */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** What may be chosen for some fields, as far as it can be had. */
export async function suggestions(kind, signal) {
  const entries = Object.entries(kind.suggest ?? {}).map(async ([field, [path, list, of]]) => {
    try {
      const found = await get(path, { limit: 100 }, { signal });
      return [field, (found[list] ?? found.items ?? []).map(of).map(([value, label]) => ({ value: String(value), label }))];
    } catch (problem) {
      if (problem.name === "AbortError") throw problem;
      return [field, []]; // the field can still be filled in by hand
    }
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The small training that comes with the service. */
export const BUNDLED = {
  model_type: "sdxl",
  description: "Teach the mini base model, which knows grey shapes on slate, coloured shapes on paper",
  tags: ["demo"],
  dataset: { resolutions: [32], directory: [{ path: "examples/mini_diffusion_pipe/data/train", num_repeats: 2 }] },
  config: {
    epochs: 50, micro_batch_size_per_gpu: 4, gradient_accumulation_steps: 1, gradient_clipping: 1.0, warmup_steps: 20, lr_scheduler: "cosine",
    save_every_n_epochs: 10, checkpoint_every_n_epochs: 10,
    model: { checkpoint_path: "examples/mini_diffusion_pipe/checkpoints/mini.safetensors", dtype: "bfloat16" },
    adapter: { type: "lora", rank: 16, dtype: "bfloat16" },
    optimizer: { type: "adamw", lr: 0.002, betas: [0.9, 0.99], weight_decay: 0.01, eps: 1e-8 },
  },
};

