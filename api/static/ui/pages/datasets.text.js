import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "Datasets", images_boxes: "Images with boxes", captioned: "Captioned videos and images", add: "Add a dataset", upload: "A zip of images and labels",
    upload_hint: "YOLO, COCO or Pascal VOC, or images alone. Checked before anything trains on it.", name: "Dataset", status: "State",
    images: "Images", labels: "Label files", versions: "Versions", size: "Size", created: "Added", prepared: "Prepared", uploaded: "Not prepared",
    register: "Or a directory on the service's machine", path: "Path", register_do: "Register", register_hint: "Below an allowed root; its files stay as they are.",
    none: "No dataset yet.", none_more: "Upload a zip above, or:", search: "Search names and ids", no_match: "No dataset is like that.",
    captioned_none: "No captioned set yet. Preprocessing makes one of a directory of videos and images:", items: "Items", captions: "Captions", seconds: "Length",
  },
  zh: {
    title: "数据集", images_boxes: "带标注框的图像", captioned: "带描述的视频与图像", add: "添加数据集", upload: "图像和标签的 zip 文件",
    upload_hint: "YOLO、COCO 或 Pascal VOC 格式，也可以只有图像。训练前会先检查。", name: "数据集", status: "状态",
    images: "图像", labels: "标签文件", versions: "版本", size: "大小", created: "添加时间", prepared: "已准备", uploaded: "未准备",
    register: "或服务所在机器上的目录", path: "路径", register_do: "登记", register_hint: "须位于允许的根目录之下；文件保持原样。",
    none: "还没有数据集。", none_more: "在上方上传 zip 文件，或者：", search: "搜索名称和编号", no_match: "没有符合条件的数据集。",
    captioned_none: "还没有带描述的数据集。预处理可以由视频和图像目录生成：", items: "条目", captions: "描述", seconds: "时长",
  },
});
