import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "Models", add: "Upload a model", upload: "A zip of weights", upload_hint: "weights/best.pt and, if there is one, model.json. Weights are judged before they are opened, and never unpickled in the service.",
    found: "Models", none: "No model yet. A training leaves one, or:", search: "Search names, ids and tags", no_match: "No model is like that.", name: "Model", classes: "Classes", source: "From",
    trained: "Training", uploaded: "Upload", size: "Size", base: "Base", created: "Made",
  },
  zh: {
    title: "模型", add: "上传模型", upload: "权重的 zip 文件", upload_hint: "weights/best.pt，以及可选的 model.json。打开前会先检查权重，服务进程中从不反序列化。",
    found: "模型", none: "还没有模型。训练完成后会有，或者：", search: "搜索名称、编号和标签", no_match: "没有符合条件的模型。", name: "模型", classes: "类别", source: "来源",
    trained: "训练", uploaded: "上传", size: "大小", base: "基础模型", created: "创建时间",
  },
});
