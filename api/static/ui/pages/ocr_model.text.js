import { table } from "../core/i18n.js";

export const t = table({
  en: {
    documents: "Documents", segment: "Finding lines", recognize: "Reading lines", accuracy: "Accuracy", file: "File", base: "Begins with", trained: "Trained", not_trained: "Not trained yet", download: "Download", delete: "Delete", delete_title: "Delete {name}?", lost: "Its file is lost. Its jobs stay.", deleted: "Deleted.",
    train: "Train", train_on: "On these documents", no_documents: "There is no document yet: add one first.", not_ready: "see its quality report", epochs: "At most epochs", lrate: "Learning rate", batch: "Batch size", augment: "Vary the images", start: "Train", as_usual: "as usual",
    evaluate: "Measure on a document", measure: "Measure", untrained: "It has no file yet: train it first.", queued: "Queued:", job: "see the job", about: "About",
  },
  zh: {
    documents: "文档", segment: "行分割", recognize: "文字识别", accuracy: "准确率", file: "文件", base: "起始于", trained: "已训练", not_trained: "尚未训练", download: "下载", delete: "删除", delete_title: "删除 {name}？", lost: "其文件将丢失，相关任务会保留。", deleted: "已删除。",
    train: "训练", train_on: "使用这些文档", no_documents: "还没有文档：请先添加。", not_ready: "查看其质量报告", epochs: "最多轮次", lrate: "学习率", batch: "批大小", augment: "图像增强", start: "训练", as_usual: "默认",
    evaluate: "在文档上测量", measure: "测量", untrained: "还没有模型文件：请先训练。", queued: "已排队：", job: "查看任务", about: "信息",
  },
});
