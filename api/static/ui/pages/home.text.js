import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "Overview", machine: "Machine", up: "Up for {time}", cpu: "CPU", memory: "Memory", disk: "Disk", free: "free", of: "of {total}",
    cores: "{count} core|{count} cores", gpus_free: "GPUs free", running: "Running", queued: "Waiting", failed: "Failed", completed: "Completed",
    gpus: "GPUs", no_gpus: "No GPU is seen here.", no_gpus_more: "Jobs that ask for none still run, on the CPU. What is missing:",
    utilization: "Utilisation", temperature: "Temperature", power: "Power", trail: "Utilisation of {name}, the last minute",
    foreign: "used by {name}", nobody: "not held", nothing_runs: "Nothing runs.", nothing_runs_more: "Start the small bundled training:",
    step: "step {step} of {total}", epoch: "epoch {epoch} of {total}", eta: "{time} left", ran: "for {time}",
    loss_of: "Loss of {name}", progress_of: "Progress of {name}", queue: "Queue", nothing_waits: "Nothing waits.",
    others_wait: "A job of somebody else waits.|{count} jobs of others wait.", position: "Position", priority: "priority {priority}", wants_gpus: "{count} GPU|{count} GPUs",
    all_waiting: "All {count} that wait", ended: "Ended last", all: "All jobs",
  },
  zh: {
    title: "概览", machine: "主机", up: "已运行 {time}", cpu: "CPU", memory: "内存", disk: "磁盘", free: "可用", of: "共 {total}",
    cores: "{count} 核", gpus_free: "空闲 GPU", running: "运行中", queued: "等待中", failed: "失败", completed: "已完成",
    gpus: "GPU", no_gpus: "未检测到 GPU。", no_gpus_more: "不需要 GPU 的任务仍可在 CPU 上运行。检查缺少什么：",
    utilization: "利用率", temperature: "温度", power: "功耗", trail: "{name} 最近一分钟的利用率",
    foreign: "被 {name} 占用", nobody: "未占用", nothing_runs: "没有运行中的任务。", nothing_runs_more: "启动自带的小型训练：",
    step: "第 {step} / {total} 步", epoch: "第 {epoch} / {total} 轮", eta: "剩余 {time}", ran: "已运行 {time}",
    loss_of: "{name} 的损失", progress_of: "{name} 的进度", queue: "队列", nothing_waits: "没有等待中的任务。",
    others_wait: "其他人有 {count} 个任务在等待。", position: "位置", priority: "优先级 {priority}", wants_gpus: "{count} 块 GPU",
    all_waiting: "查看全部 {count} 个等待中的任务", ended: "最近结束", all: "全部任务",
  },
});
