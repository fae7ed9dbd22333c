import { table } from "../core/i18n.js";

export const t = table({
  en: {
    copy_id: "Copy the id", failed: "Failed: {kind}", held: "Held back", waits: "Waits at position {position}", progress: "Progress", phase: "Phase",
    step: "Step", epoch: "Epoch", loss: "Loss", best: "Best loss", rate: "Learning rate", speed: "Speed", per_step: "{time} s/step", ran: "Time",
    left: "Left", attempts: "Attempts", began: "Began", ended: "Ended", reason: "Reason", exit_code: "Exit code", from: "Resumed from",
    checkpoints: "Checkpoints", name: "Name", saved: "Saved", facts: "Details", description: "Description", submitted: "Submitted", model_type: "Model type",
    priority: "Priority", output: "Output", log_file: "Log file", command: "Command", metrics: "Metrics", metric: "Metric", by_step: "by step",
    by_epoch: "by epoch", no_metrics: "Nothing measured yet.", log: "Log", level: "Level", every_level: "Every level", follow: "Follow",
    no_log: "Nothing printed yet.", stop: "Stop", force: "Force stop", resume: "Resume", restart: "Restart", delete: "Delete", hold: "Hold", release: "Release",
    stop_title: "Stop this job?", stop_text: "It is asked to save and quit. Where it can save, it can be resumed from there.",
    force_title: "End it now?", force_lost: "What was trained since the last checkpoint is lost.", stop_asked: "It was asked to stop.", resumed: "Queued; it goes on from its newest checkpoint.",
    restart_title: "Start again from nothing?", restart_text: "The same request runs anew into an output directory of its own. What there is stays.",
    restarted: "Queued again.", delete_title: "Delete {name}?", delete_lost: "Its record, log and metrics are lost.", delete_files: "Delete its output files too, checkpoints included",
    deleted: "Deleted.",
  },
  zh: {
    copy_id: "复制编号", failed: "失败：{kind}", held: "已暂缓", waits: "排在第 {position} 位", progress: "进度", phase: "阶段",
    step: "步数", epoch: "轮次", loss: "损失", best: "最低损失", rate: "学习率", speed: "速度", per_step: "{time} 秒/步", ran: "用时",
    left: "剩余", attempts: "运行记录", began: "开始", ended: "结束", reason: "原因", exit_code: "退出码", from: "恢复自",
    checkpoints: "检查点", name: "名称", saved: "保存时间", facts: "详情", description: "描述", submitted: "提交时间", model_type: "模型类型",
    priority: "优先级", output: "输出目录", log_file: "日志文件", command: "命令", metrics: "指标", metric: "指标", by_step: "按步",
    by_epoch: "按轮", no_metrics: "尚无测量值。", log: "日志", level: "级别", every_level: "所有级别", follow: "跟随",
    no_log: "还没有输出。", stop: "停止", force: "强制停止", resume: "恢复", restart: "重新开始", delete: "删除", hold: "暂缓", release: "放行",
    stop_title: "停止此任务？", stop_text: "任务将先保存再退出；若能保存，之后可从该处恢复。",
    force_title: "立即结束？", force_lost: "自上一个检查点以来的训练成果将丢失。", stop_asked: "已请求停止。", resumed: "已排队，将从最新的检查点继续。",
    restart_title: "从头重新开始？", restart_text: "相同的请求将在新的输出目录中重新运行，已有的内容保留。",
    restarted: "已重新排队。", delete_title: "删除 {name}？", delete_lost: "其记录、日志和指标将丢失。", delete_files: "同时删除输出文件（包括检查点）",
    deleted: "已删除。",
  },
});
