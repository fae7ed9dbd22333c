// One line a page: its address, its module (loaded when first shown), and its place in the navigation.
import { table } from "./core/i18n.js";

export const t = table({
  en: { home: "Home", jobs: "Jobs", job: "Job", new: "New job", queue: "Queue", people: "People", webhooks: "Webhooks", webhook: "Webhook", about: "About", api: "API reference", missing: "There is no such page.", to_home: "To the start" },
  zh: { home: "概览", jobs: "任务", job: "任务详情", new: "新建任务", queue: "队列", people: "用户", webhooks: "Webhook", webhook: "Webhook", about: "关于", api: "API 文档", missing: "没有这个页面。", to_home: "返回首页" },
});

/** `name`: the key of its words in `t`; `icon`: shown in the navigation; `under`: marks another entry there. */
export const ROUTES = [
  { path: "/", name: "home", icon: "home", load: () => import("./pages/home.js") },
  { path: "/jobs", name: "jobs", icon: "jobs", load: () => import("./pages/jobs.js") },
  { path: "/job/:id", name: "job", under: "jobs", load: () => import("./pages/job.js") },
  { path: "/new", name: "new", icon: "add", load: () => import("./pages/new.js") },
  { path: "/queue", name: "queue", icon: "queue", load: () => import("./pages/queue.js") },
  { path: "/people", name: "people", icon: "people", load: () => import("./pages/people.js") },
  { path: "/webhooks", name: "webhooks", icon: "hook", load: () => import("./pages/webhooks.js") },
  { path: "/webhook/:id", name: "webhook", under: "webhooks", load: () => import("./pages/webhook.js") },
  { path: "/about", name: "about", icon: "about", load: () => import("./pages/about.js") },
];
