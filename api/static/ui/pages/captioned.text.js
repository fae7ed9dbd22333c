import { table } from "../core/i18n.js";

export const t = table({
  en: {
    datasets: "Datasets", items: "{count} item|{count} items", captions: "{count} caption|{count} captions", length: "{time} of video", delete: "Delete", delete_title: "Delete {name}?",
    lost: "All its videos, images and captions below {path} are lost.", deleted: "Deleted.", content: "Items and captions", caption: "Caption of {file}",
    save: "Save", saved: "Saved.", open: "Open {file}", none: "There is nothing in it yet.", train: "Train on this", replace: "Replace in all captions", find: "Find", by: "Replace by",
    replace_do: "Replace", changed: "{changed} of {items} captions changed.",
  },
  zh: {
    datasets: "数据集", items: "{count} 个条目", captions: "{count} 条描述", length: "视频共 {time}", delete: "删除", delete_title: "删除 {name}？",
    lost: "{path} 下的所有视频、图像和描述将丢失。", deleted: "已删除。", content: "条目与描述", caption: "{file} 的描述",
    save: "保存", saved: "已保存。", open: "打开 {file}", none: "里面还没有内容。", train: "用它训练", replace: "在所有描述中替换", find: "查找", by: "替换为",
    replace_do: "替换", changed: "{items} 条描述中更改了 {changed} 条。",
  },
});
