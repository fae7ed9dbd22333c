import { table } from "../core/i18n.js";

export const t = table({
  en: {
    drop: "Drop a file here, or", choose: "choose one", sending: "{name}: {sent} of {total}", checking: "{name}: sent, being checked …",
    give_up: "Give up", progress: "Upload of {name}",
  },
  zh: {
    drop: "将文件拖到此处，或", choose: "选择文件", sending: "{name}：已发送 {sent} / {total}", checking: "{name}：已发送，正在检查…",
    give_up: "放弃", progress: "上传 {name}",
  },
});
