import { table } from "../core/i18n.js";

export const t = table({
  en: {
    tasks: "Annotate", done: "{done} of {total} annotated", all: "All", open: "Without annotation", none_open: "Every image is annotated.", none: "There is no image in this task.", show_all: "Show all",
    saved: "Saved", clean: "Not annotated yet", unsaved: "Not saved yet", saving: "Saving …", failed: "Not saved: {why}", conflict: "Changed by somebody else meanwhile", decide: "Decide", retry: "Try again", loading: "Loading …",
    classes: "Classes", boxes: "Boxes", no_boxes: "No box. Drag on the image, or press N.", box: "Box {number}:", remove: "Delete box {number}", proposals: "Proposed by a model",
    accept: "Accept", accept_all: "Accept all (A)", refuse: "Refuse", prelabel: "Let a model propose …", image: "{name}, {width} by {height} pixels, {count} box|{name}, {width} by {height} pixels, {count} boxes", previous: "Previous image (←)", next: "Next image (→)",
    zoom_in: "Zoom in (+)", zoom_out: "Zoom out (−)", fit: "Fit (F)", hand: "Move the view (H)", undo: "Undo (Ctrl Z)", redo: "Redo (Ctrl Shift Z)", nothing: "Nothing on it (E)", nothing_said: "Saved as an image with nothing on it.",
    images: "Images", earlier: "Earlier images", later: "Later images", keys: "Keyboard", annotated: "annotated", not_annotated: "not annotated",
    key_class: "1 … 9, 0: class, of the chosen box too", key_image: "← →: previous and next image; U: next without annotation", key_new: "N: new box; [ ]: choose a box", key_move: "Shift + arrows: move; Ctrl + arrows: size",
    key_delete: "Delete: remove; Ctrl Z, Ctrl Shift Z: undo, redo", key_zoom: "+ − F, wheel: zoom; H or middle button: move the view", key_accept: "A: accept proposals; E: nothing on it; Esc: let go", key_over: "Shift + drag draws over a chosen box",
    conflict_title: "Two people changed this image", conflict_text: "Somebody saved other boxes since you opened it. Nothing of either is lost until you decide.", mine: "Yours", theirs: "Theirs", count: "{count} box|{count} boxes",
    keep_mine: "Keep mine", take_theirs: "Take theirs", both: "Keep both", later_decide: "Decide later", model: "Model", conf: "Least confidence", start: "Start", cancel: "Cancel", prelabel_text: "The model looks at all images without boxes. What it finds is shown dashed and counts only once you accept it.",
    prelabel_started: "The model looks at the images:", job: "see the job", prelabel_done: "Proposals are there.", prelabel_failed: "The job proposed nothing: see its log.", no_models: "There is no model yet: train one, or upload it.", read_failed: "The image could not be shown.",
    no_next: "No more images.", no_open: "No image without annotation further on.",
  },
  zh: {
    tasks: "标注", done: "已标注 {done} / {total}", all: "全部", open: "未标注", none_open: "所有图像都已标注。", none: "此任务中没有图像。", show_all: "显示全部",
    saved: "已保存", clean: "尚未标注", unsaved: "尚未保存", saving: "正在保存…", failed: "未保存：{why}", conflict: "期间已被他人修改", decide: "处理", retry: "重试", loading: "加载中…",
    classes: "类别", boxes: "标注框", no_boxes: "没有标注框。在图像上拖动，或按 N。", box: "框 {number}：", remove: "删除框 {number}", proposals: "模型的建议",
    accept: "接受", accept_all: "全部接受 (A)", refuse: "拒绝", prelabel: "让模型预标注…", image: "{name}，{width} × {height} 像素，{count} 个框", previous: "上一张 (←)", next: "下一张 (→)",
    zoom_in: "放大 (+)", zoom_out: "缩小 (−)", fit: "适应窗口 (F)", hand: "移动视图 (H)", undo: "撤销 (Ctrl Z)", redo: "重做 (Ctrl Shift Z)", nothing: "图中无目标 (E)", nothing_said: "已保存为无目标的图像。",
    images: "图像", earlier: "前面的图像", later: "后面的图像", keys: "键盘", annotated: "已标注", not_annotated: "未标注",
    key_class: "1 … 9、0：类别，也用于所选的框", key_image: "← →：上一张、下一张；U：下一张未标注", key_new: "N：新建框；[ ]：选择框", key_move: "Shift + 方向键：移动；Ctrl + 方向键：调整大小",
    key_delete: "Delete：删除；Ctrl Z、Ctrl Shift Z：撤销、重做", key_zoom: "+ − F、滚轮：缩放；H 或中键：移动视图", key_accept: "A：接受建议；E：图中无目标；Esc：取消选择", key_over: "Shift + 拖动可在所选框之上绘制",
    conflict_title: "此图像被两人同时修改", conflict_text: "在您打开之后，有人保存了其他标注框。在您决定之前，双方的内容都不会丢失。", mine: "您的", theirs: "对方的", count: "{count} 个框",
    keep_mine: "保留我的", take_theirs: "采用对方的", both: "两者都保留", later_decide: "稍后处理", model: "模型", conf: "最低置信度", start: "开始", cancel: "取消", prelabel_text: "模型会处理所有没有标注框的图像。结果以虚线显示，接受后才算数。",
    prelabel_started: "模型正在处理图像：", job: "查看任务", prelabel_done: "建议已生成。", prelabel_failed: "任务没有给出建议：请查看日志。", no_models: "还没有模型：请先训练或上传。", read_failed: "无法显示图像。",
    no_next: "没有更多图像。", no_open: "后面没有未标注的图像。",
  },
});
