import { table } from "../core/i18n.js";

export const t = table({
  en: {
    documents: "Documents", pages: "{count} page|{count} pages", lines: "{count} line|{count} lines", ltr: "left to right", rtl: "right to left", delete: "Delete", delete_title: "Delete {name}?", lost: "Its {pages} pages with their images and transcriptions are lost.", deleted: "Deleted.", export: "Export",
    quality: "Quality report", ready_segmentation: "Finding lines can be trained", ready_recognition: "Reading lines can be trained", not_segmentation: "Not ready for finding lines", not_recognition: "Not ready for reading lines", of: "{part} of {total}",
    transcriptions: "Transcriptions", baselines: "Baselines", polygons: "Polygons", images: "Images", takes: "A training takes", warnings: "What is lacking", recommendations: "What helps",
    import: "Take in pages", drop: "A zip, an ALTO or PAGE XML, or an image", drop_hint: "A page is its image's name; what describes it again takes its place.", path: "Or a directory on the service's machine", import_do: "Take in", taken: "Page {name} is taken.",
    importing: "Taking in", import_state: "{done} of {total} files", import_queued: "Waiting …", import_done: "{pages} pages, {lines} lines and {images} images were taken.", import_failed: "Nothing was taken: {why}", problems: "What could not be read",
    parts: "Pages", no_parts: "No page yet.", part: "Page {name}", no_image: "no image", page_lines: "{count} line|{count} lines", line: "Line {number}", save: "Save", saved: "Saved.", close: "Close", no_lines: "This page has no lines.", image_missing: "The image of this page is not there: take it in.", format: "as {format}",
  },
  zh: {
    documents: "文档", pages: "{count} 页", lines: "{count} 行", ltr: "从左到右", rtl: "从右到左", delete: "删除", delete_title: "删除 {name}？", lost: "其 {pages} 页及图像和转写将丢失。", deleted: "已删除。", export: "导出",
    quality: "质量报告", ready_segmentation: "可训练行分割", ready_recognition: "可训练文字识别", not_segmentation: "尚不能训练行分割", not_recognition: "尚不能训练文字识别", of: "{part} / {total}",
    transcriptions: "转写", baselines: "基线", polygons: "多边形", images: "图像", takes: "训练大约需要", warnings: "缺少的内容", recommendations: "建议",
    import: "导入页面", drop: "zip、ALTO 或 PAGE XML，或图像", drop_hint: "页面以其图像命名；再次导入会替换原有内容。", path: "或服务所在机器上的目录", import_do: "导入", taken: "已导入页面 {name}。",
    importing: "正在导入", import_state: "{done} / {total} 个文件", import_queued: "等待中…", import_done: "已导入 {pages} 页、{lines} 行和 {images} 张图像。", import_failed: "没有导入任何内容：{why}", problems: "无法读取的文件",
    parts: "页面", no_parts: "还没有页面。", part: "页面 {name}", no_image: "无图像", page_lines: "{count} 行", line: "第 {number} 行", save: "保存", saved: "已保存。", close: "关闭", no_lines: "此页没有行。", image_missing: "此页缺少图像：请导入。", format: "{format} 格式",
  },
});
