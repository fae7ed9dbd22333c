// The words of shared components, and those of the API that every page shows.
import { table, wordsFor } from "../core/i18n.js";

export const t = table({
  en: {
    cancel: "Cancel", close: "Close", copy: "Copy", copied: "Copied", loading: "Loading …", retry: "Try again",
    linear: "Linear", log: "Log", smoothing: "Smoothing", reset: "Reset zoom", chart: "Chart of {name}", step: "step", epoch: "epoch",
    chart_help: "Drag to zoom, double-click to reset.", nothing_measured: "Nothing measured yet.",
    previous: "Previous", next: "Next", range: "{from}–{to} of {total}", dismiss: "Dismiss",
    optional: "optional", invalid_json: "This is not valid JSON.", done: "{percent} done", unknown_done: "progress unknown",
    advanced: "More options ({count})", unset: "(not set)", one_a_line: "one a line", take_out: "Take out {name}", one_more: "One more {name}",
    default: "default: {value}", pair_name: "Name", pair_value: "Value",
  },
  zh: {
    cancel: "取消", close: "关闭", copy: "复制", copied: "已复制", loading: "加载中…", retry: "重试",
    linear: "线性", log: "对数", smoothing: "平滑", reset: "重置缩放", chart: "{name} 图表", step: "步数", epoch: "轮次",
    chart_help: "拖动以缩放，双击重置。", nothing_measured: "尚无测量值。",
    previous: "上一页", next: "下一页", range: "第 {from}–{to} 项，共 {total} 项", dismiss: "关闭",
    optional: "可选", invalid_json: "不是有效的 JSON。", done: "已完成 {percent}", unknown_done: "进度未知",
    advanced: "更多选项（{count}）", unset: "（未设置）", one_a_line: "每行一个", take_out: "移除 {name}", one_more: "再添加一个 {name}",
    default: "默认：{value}", pair_name: "名称", pair_value: "值",
  },
});

export const statusWord = wordsFor({
  en: {
    queued: "Queued", running: "Running", stopping: "Stopping", completed: "Completed", failed: "Failed", stopped: "Stopped",
    held: "Held", available: "Free", training: "Training", preprocessing: "Preprocessing", busy: "Busy", drained: "Drained", unknown: "No answer",
  },
  zh: {
    queued: "排队中", running: "运行中", stopping: "正在停止", completed: "已完成", failed: "失败", stopped: "已停止",
    held: "已暂缓", available: "空闲", training: "训练中", preprocessing: "预处理中", busy: "占用", drained: "已停用", unknown: "无响应",
  },
});

export const phaseWord = wordsFor({
  en: {},
  zh: {
    queued: "排队", starting: "启动", caching: "缓存", loading: "加载", training: "训练", evaluating: "评估", saving: "保存",
    done: "结束",
  },
});
