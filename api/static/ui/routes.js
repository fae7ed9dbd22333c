// One line a page: its address, its module (loaded when first shown), and its place in the navigation.
import { table } from "./core/i18n.js";

export const t = table({
  en: {
    home: "Home", jobs: "Jobs", job: "Job", new: "New job", queue: "Queue", datasets: "Datasets", dataset: "Dataset", captioned: "Captioned set", tasks: "Annotate", annotate: "Annotate",
    models: "Models", model: "Model", documents: "Documents", document: "Document", ocr_model: "OCR model",
    people: "People", webhooks: "Webhooks", webhook: "Webhook", about: "About", api: "API reference", missing: "There is no such page.", to_home: "To the start",
  },
  zh: {
    home: "概览", jobs: "任务", job: "任务详情", new: "新建任务", queue: "队列", datasets: "数据集", dataset: "数据集详情", captioned: "带描述的数据集", tasks: "标注", annotate: "标注",
    models: "模型", model: "模型详情", documents: "文档", document: "文档详情", ocr_model: "OCR 模型",
    people: "用户", webhooks: "Webhook", webhook: "Webhook", about: "关于", api: "API 文档", missing: "没有这个页面。", to_home: "返回首页",
  },
});

/** `name`: the key of its words in `t`; `icon`: shown in the navigation; `begins`: a group there; `under`: marks another entry there. */
export const ROUTES = [
  { path: "/", name: "home", icon: "home", load: () => import("./pages/home.js") },
  { path: "/jobs", name: "jobs", icon: "jobs", load: () => import("./pages/jobs.js") },
  { path: "/job/:id", name: "job", under: "jobs", load: () => import("./pages/job.js") },
  { path: "/queue", name: "queue", icon: "queue", load: () => import("./pages/queue.js") },
  { path: "/new", name: "new", icon: "add", load: () => import("./pages/new.js") },
  { path: "/datasets", name: "datasets", icon: "data", begins: true, load: () => import("./pages/datasets.js") },
  { path: "/dataset/:id", name: "dataset", under: "datasets", load: () => import("./pages/dataset.js") },
  { path: "/captioned/:name", name: "captioned", under: "datasets", load: () => import("./pages/captioned.js") },
  { path: "/annotate", name: "tasks", icon: "draw", load: () => import("./pages/tasks.js") },
  { path: "/annotate/:id", name: "annotate", under: "tasks", load: () => import("./pages/annotate.js") },
  { path: "/models", name: "models", icon: "models", load: () => import("./pages/models.js") },
  { path: "/model/:id", name: "model", under: "models", load: () => import("./pages/model.js") },
  { path: "/documents", name: "documents", icon: "documents", load: () => import("./pages/documents.js") },
  { path: "/document/:id", name: "document", under: "documents", load: () => import("./pages/document.js") },
  { path: "/ocr-model/:id", name: "ocr_model", under: "documents", load: () => import("./pages/ocr_model.js") },
  { path: "/people", name: "people", icon: "people", begins: true, load: () => import("./pages/people.js") },
  { path: "/webhooks", name: "webhooks", icon: "hook", load: () => import("./pages/webhooks.js") },
  { path: "/webhook/:id", name: "webhook", under: "webhooks", load: () => import("./pages/webhook.js") },
  { path: "/about", name: "about", icon: "about", load: () => import("./pages/about.js") },
];
