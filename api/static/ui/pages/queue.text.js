import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "Queue", waiting: "Waiting", job: "Job", wants: "Asks for", priority: "Priority", priority_of: "Priority of {name}", actions: "Actions", hold: "Hold", release: "Release", stop: "Take out",
    stop_title: "Take {name} out of the queue?", stop_text: "It is stopped before it began; it can be restarted.", gpus: "{count} GPU|{count} GPUs", cores: "{count} core|{count} cores", none: "Nothing waits.",
    none_more: "A job waits here until all that it asks for is free at once.", others: "A job of somebody else waits.|{count} jobs of others wait.", gpus_title: "GPUs", status: "Status", holder: "Held by",
    drain: "Take out of service", undrain: "Back into service", drain_title: "Take GPU {gpu} out of service?", drain_text: "Nothing new is started on it; what runs there goes on.",
    reason: "Why", reason_hint: "told to those who wait", drained: "GPU {gpu} is out of service.", undrained: "GPU {gpu} is in service again.",
  },
  zh: {
    title: "队列", waiting: "等待中", job: "任务", wants: "所需资源", priority: "优先级", priority_of: "{name} 的优先级", actions: "操作", hold: "暂缓", release: "放行", stop: "移出",
    stop_title: "将 {name} 移出队列？", stop_text: "任务在开始之前被停止，之后可以重新开始。", gpus: "{count} 块 GPU", cores: "{count} 核", none: "没有等待中的任务。",
    none_more: "任务在此等待，直到所需资源同时空闲。", others: "其他人有 {count} 个任务在等待。", gpus_title: "GPU", status: "状态", holder: "占用者",
    drain: "停用", undrain: "恢复使用", drain_title: "停用 GPU {gpu}？", drain_text: "不再在其上启动新任务，正在运行的任务会继续。",
    reason: "原因", reason_hint: "会告知等待者", drained: "GPU {gpu} 已停用。", undrained: "GPU {gpu} 已恢复使用。",
  },
});
