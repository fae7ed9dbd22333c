import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "About this service", engines: "Trainers", available: "Ready", missing: "Not here", its_jobs: "its jobs", service: "Service and machine", version: "Version", up: "Up for", executor: "Runs jobs by",
    cores: "Cores", memory: "Memory", disk: "Disk", free_of: "{free} free of {total}", you: "You are", more: "More", doctor: "Look closer, on the machine itself",
    doctor_more: "It says what is there and what is missing: directories, database, driver, trainers.",
  },
  zh: {
    title: "关于此服务", engines: "训练引擎", available: "可用", missing: "不可用", its_jobs: "相关任务", service: "服务与主机", version: "版本", up: "已运行", executor: "任务执行方式",
    cores: "核心数", memory: "内存", disk: "磁盘", free_of: "可用 {free}，共 {total}", you: "当前身份", more: "更多", doctor: "在服务所在机器上详细检查",
    doctor_more: "它会说明哪些已就绪、哪些缺失：目录、数据库、驱动、训练引擎。",
  },
});
