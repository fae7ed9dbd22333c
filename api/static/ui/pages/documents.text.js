import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "Documents", documents: "Documents", none: "No document yet. Make one above, or:", make: "New document", name: "Name", script: "Script", language: "Language", direction: "Read", ltr: "left to right", rtl: "right to left", add: "Make",
    pages: "Pages", lines: "Lines", transcribed: "Transcribed", changed: "Changed", models: "OCR models", models_none: "No OCR model yet.", job: "For", segment: "Finding lines", recognize: "Reading lines", base: "Begins with", base_none: "nothing", make_model: "New model", accuracy: "Accuracy", trained: "Trained", not_trained: "not trained", size: "File",
  },
  zh: {
    title: "文档", documents: "文档", none: "还没有文档。在上方创建，或者：", make: "新建文档", name: "名称", script: "文字", language: "语言", direction: "阅读方向", ltr: "从左到右", rtl: "从右到左", add: "创建",
    pages: "页", lines: "行", transcribed: "已转写", changed: "更改时间", models: "OCR 模型", models_none: "还没有 OCR 模型。", job: "用途", segment: "行分割", recognize: "文字识别", base: "起始于", base_none: "无", make_model: "新建模型", accuracy: "准确率", trained: "已训练", not_trained: "未训练", size: "文件",
  },
});
