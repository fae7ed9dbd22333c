// The words of shared components, and those of the API that every page shows.
import { table, wordsFor } from "../core/i18n.js";

export const t = table({
  en: {
    cancel: "Cancel", close: "Close", copy: "Copy", copied: "Copied", loading: "Loading …", retry: "Try again",
    linear: "Linear", log: "Log", smoothing: "Smoothing", reset: "Reset zoom", chart: "Chart of {name}", step: "step", epoch: "epoch",
    chart_help: "Drag to zoom, double-click to reset.", nothing_measured: "Nothing measured yet.",
    previous: "Previous", next: "Next", range: "{from}–{to} of {total}", dismiss: "Dismiss",
    optional: "optional", invalid_json: "This is not valid JSON.", done: "{percent} done", unknown_done: "progress unknown",
    advanced: "One more option|{count} more options", unset: "(not set)", one_a_line: "one a line", take_out: "Take out {name}", one_more: "One more {name}",
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
  en: {
    queued: "Queued", starting: "Starting", caching: "Caching", loading: "Loading", training: "Training", evaluating: "Evaluating", saving: "Saving",
    done: "Done",
  },
  zh: {
    queued: "排队", starting: "启动", caching: "缓存", loading: "加载", training: "训练", evaluating: "评估", saving: "保存",
    done: "结束",
  },
});

/** What trains. */
export const engineWord = wordsFor({
  en: { diffusion_pipe: "diffusion-pipe", ultralytics: "YOLO", kraken: "kraken", script: "Script", preprocessing: "Preprocessing", ocr_import: "OCR import" },
  zh: { diffusion_pipe: "diffusion-pipe", ultralytics: "YOLO", kraken: "kraken", script: "脚本", preprocessing: "预处理", ocr_import: "OCR 导入" },
});

/** Which of the APIs a job came by. */
export const dialectWord = wordsFor({
  en: { training_v1: "training API", jobs: "jobs API", yolo_platform: "YOLO platform API", ocr_status: "OCR API", yolo_train_server: "YOLO train server API" },
  zh: { training_v1: "训练 API", jobs: "任务 API", yolo_platform: "YOLO 平台 API", ocr_status: "OCR API", yolo_train_server: "YOLO 训练服务器 API" },
});

/** Why an attempt ended. */
export const reasonWord = wordsFor({
  en: {
    done: "Finished", stopped_by_user: "Stopped by a user", exit_code: "Exit code", out_of_memory: "Out of memory", launch_failed: "Could not be started",
    lost: "Lost with the machine", timed_out: "Timed out",
  },
  zh: {
    done: "正常结束", stopped_by_user: "被用户停止", exit_code: "退出码", out_of_memory: "内存不足", launch_failed: "无法启动",
    lost: "随机器一同丢失", timed_out: "超时",
  },
});

/** What went wrong, by the API's `failure.kind`. */
export const failureWord = wordsFor({
  en: {
    cuda_oom: "GPU memory ran out", nccl: "the GPUs could not talk to each other", port_busy: "its port was taken", no_gpu: "no usable GPU", missing_file: "a file is missing",
    bad_config: "wrong configuration", dataset_empty: "empty dataset", disk_full: "the disk is full", killed_by_oom: "main memory ran out", signal: "ended from outside or crashed",
    stalled: "it hung", incomplete: "it ended before it was done", lost: "lost with the machine", timed_out: "it ran longer than allowed", import_error: "a module cannot be loaded",
    unknown: "cause unknown",
  },
  zh: {
    cuda_oom: "显存不足", nccl: "GPU 之间无法通信", port_busy: "端口被占用", no_gpu: "没有可用的 GPU", missing_file: "缺少文件",
    bad_config: "配置有误", dataset_empty: "数据集为空", disk_full: "磁盘已满", killed_by_oom: "内存不足", signal: "被外部终止或崩溃",
    stalled: "停滞无响应", incomplete: "未完成即结束", lost: "随机器一同丢失", timed_out: "超过允许的运行时间", import_error: "无法加载模块",
    unknown: "原因不明",
  },
});

/** What to do then. The API's own hint says it more closely, in English: in other languages this stands before it. */
export const failureAdvice = wordsFor({
  en: {},
  zh: {
    cuda_oom: "减小批量、分辨率或帧数，换用更小的模型或显存更大的 GPU，并确认没有其他进程占用该 GPU。", nccl: "在 env 中设置 NCCL_P2P_DISABLE=1 和 NCCL_IB_DISABLE=1，或只用一块 GPU。",
    port_busy: "重新开始即可，届时会选用其他端口。", no_gpu: "检查驱动（nvidia-smi），并确认训练环境中的 torch 支持 CUDA。", missing_file: "更正请求中的路径，或检查服务用户对它的权限。",
    bad_config: "按下面的说明更正请求后再次运行。", dataset_empty: "检查数据集的路径和内容；批量大于条目数时也会如此。", disk_full: "在输出目录和缓存所在的磁盘上腾出空间后重新开始。",
    killed_by_oom: "减少工作进程数和批量，或增加内存。", signal: "若是被人或其他程序终止，可恢复任务；若是崩溃，通常是驱动、torch 或扩展版本不匹配。", stalled: "查看日志末尾；可恢复任务。",
    incomplete: "可恢复任务继续训练。", lost: "可从最新的检查点恢复。", timed_out: "可恢复任务，或放宽最长运行时间。", import_error: "在该任务的 Python 环境中安装或重装训练程序的依赖。",
    unknown: "查看日志末尾。",
  },
});
