import { table } from "../core/i18n.js";

export const t = table({
  en: {
    models: "Models", download: "Download", delete: "Delete", further: "Train further", trained: "From a training", uploaded: "Uploaded", made: "made {when}", delete_title: "Delete {name}?",
    lost: "The weights and everything known of them are lost, and the files that exports made of it.", deleted: "Deleted.", measured: "Measured in training", about: "About", precision: "Precision", recall: "Recall",
    no_metrics: "Nothing measured: it was uploaded without metrics. Validate it below.", task: "Task", type: "Architecture", params: "Parameters", imgsz: "Image size", epochs: "Epochs", classes: "Classes", from_job: "Job", from_set: "Dataset", base: "Base", origin: "Elsewhere",
    losses: "Losses by epoch", metrics: "Metrics by epoch", train_box_loss: "train box", train_cls_loss: "train class", train_dfl_loss: "train dfl", val_box_loss: "val box", val_cls_loss: "val class", val_dfl_loss: "val dfl",
    metrics_precision: "precision", metrics_recall: "recall", metrics_mAP50: "mAP50", metrics_mAP50_95: "mAP50-95",
    try: "Try it", try_drop: "An image or a video", try_hint: "Looked at on this machine; the result is drawn below.", conf: "Least confidence", found_none: "Nothing found at this confidence.", found: "{count} found", object: "Object", confidence: "Confidence", place: "Corners",
    result: "What the model sees on {name}", video_stats: "{frames} frames, {found} found in {with} of them", looking: "{name}: the model is looking …", sending: "{name}: sending, {percent}", too: "Neither an image nor a video.",
    exports: "Other formats", format: "Format", image_size: "Image size", as_trained: "as trained", half: "16 bit", dynamic: "Any image size", export: "Export", exports_none: "Not exported yet.", file: "File", status: "State", when: "Asked for", started: "The job is queued.",
    validations: "Measured on datasets", validate: "Measure", dataset: "Dataset", validations_none: "Not measured on another dataset yet.", no_sets: "No prepared dataset: add one first.", job: "Job", by_class: "mAP50-95 by class",
  },
  zh: {
    models: "模型", download: "下载", delete: "删除", further: "继续训练", trained: "来自训练", uploaded: "上传", made: "创建于 {when}", delete_title: "删除 {name}？",
    lost: "权重及其全部信息将丢失，由它导出的文件也将丢失。", deleted: "已删除。", measured: "训练中的测量", about: "信息", precision: "精确率", recall: "召回率",
    no_metrics: "没有测量值：上传时未附带指标。可在下方验证。", task: "任务类型", type: "结构", params: "参数量", imgsz: "图像尺寸", epochs: "轮次", classes: "类别", from_job: "任务", from_set: "数据集", base: "基础模型", origin: "外部来源",
    losses: "各轮次损失", metrics: "各轮次指标", train_box_loss: "训练 box", train_cls_loss: "训练 class", train_dfl_loss: "训练 dfl", val_box_loss: "验证 box", val_cls_loss: "验证 class", val_dfl_loss: "验证 dfl",
    metrics_precision: "精确率", metrics_recall: "召回率", metrics_mAP50: "mAP50", metrics_mAP50_95: "mAP50-95",
    try: "试一试", try_drop: "图像或视频", try_hint: "在本机上识别，结果显示在下方。", conf: "最低置信度", found_none: "在此置信度下没有发现目标。", found: "发现 {count} 个", object: "目标", confidence: "置信度", place: "角点",
    result: "模型在 {name} 上看到的内容", video_stats: "{frames} 帧，其中 {with} 帧共发现 {found} 个目标", looking: "{name}：模型正在识别…", sending: "{name}：正在发送，{percent}", too: "既不是图像也不是视频。",
    exports: "其他格式", format: "格式", image_size: "图像尺寸", as_trained: "与训练相同", half: "16 位", dynamic: "任意图像尺寸", export: "导出", exports_none: "尚未导出。", file: "文件", status: "状态", when: "请求时间", started: "任务已排队。",
    validations: "在数据集上的测量", validate: "测量", dataset: "数据集", validations_none: "尚未在其他数据集上测量。", no_sets: "没有已准备的数据集：请先添加。", job: "任务", by_class: "各类别 mAP50-95",
  },
});
