import { table } from "../core/i18n.js";

export const t = table({
  en: { edit: "Edit", name: "Name", description: "Description", tags: "Tags, separated by commas", save: "Save", cancel: "Cancel", saved: "Saved." },
  zh: { edit: "编辑", name: "名称", description: "描述", tags: "标签，用逗号分隔", save: "保存", cancel: "取消", saved: "已保存。" },
});
