import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "Jobs", found: "Found", status: "Status", any: "All", engine: "Engine", any_engine: "Every engine", dialect: "API",
    any_dialect: "Every API", tag: "Tag: {tag}", search: "Search names and ids", no_match: "No job is like that.", none: "No job yet. The first one:",
    job: "Job", progress: "Progress", progress_of: "Progress of {name}", loss: "Loss", time: "Time", created: "Submitted", new: "New job",
  },
  zh: {
    title: "任务", found: "查询结果", status: "状态", any: "全部", engine: "引擎", any_engine: "所有引擎", dialect: "API",
    any_dialect: "所有 API", tag: "标签：{tag}", search: "搜索名称和编号", no_match: "没有符合条件的任务。", none: "还没有任务。创建第一个：",
    job: "任务", progress: "进度", progress_of: "{name} 的进度", loss: "损失", time: "用时", created: "提交时间", new: "新建任务",
  },
});
