import { table } from "../core/i18n.js";

export const t = table({
  en: {
    datasets: "Datasets", prepared: "Prepared", uploaded: "Not prepared", train: "Train on this", annotate: "Annotate", delete: "Delete", export: "Export", images_only: "Images only",
    with_labels: "With labels", registered: "registered at {path}", images: "{count} image|{count} images", added: "added {when}",
    prepare: "Prepare", prepare_again: "Prepare differently", prepare_lead: "Not checked yet: preparing looks at every file, draws a split and makes a version that can be trained on.",
    classes: "Classes, one a line", classes_hint: "Empty: as the dataset names them.", share: "Part for validation", share_hint: "For datasets without a split of their own.",
    seed: "Seed of the split", go: "Prepare", ready: "Version {version} is ready.", report: "Pre-flight report", version: "Version",
    training: "Training", validation: "Validation", test: "Test", boxes: "Boxes", empty: "Without boxes", duplicates: "Duplicates", leaks: "In two splits",
    split: "Split", made: "drawn, seed {seed}", kept: "the dataset's own", by_class: "Boxes by class", no_boxes: "No box yet: annotate some.",
    clean: "Nothing was left out: every file can be used.", left_out: "Left out, by kind", first: "The first of them", file: "File", problem: "Problem",
    sample: "Some of the images", all_images: "Images", open: "Annotate {name}", boxes_count: "{count} box|{count} boxes", delete_title: "Delete {name}?",
    lost_files: "The uploaded files and all prepared versions are lost ({size}).", lost_boxes: "So are all annotations drawn here.", lost_not: "The registered directory itself is left alone; versions and annotations made of it are lost.",
    deleted: "Deleted.", kind_image: "Broken images", kind_label: "Broken labels", kind_label_without_image: "Labels without an image", kind_missing_image: "Images that are not there",
    kind_annotation: "Annotation files", kind_yaml: "YAML", task_none: "All images are shown once there is an annotation task.",
  },
  zh: {
    datasets: "数据集", prepared: "已准备", uploaded: "未准备", train: "用它训练", annotate: "标注", delete: "删除", export: "导出", images_only: "仅图像",
    with_labels: "含标签", registered: "登记于 {path}", images: "{count} 张图像", added: "添加于 {when}",
    prepare: "准备", prepare_again: "以其他方式准备", prepare_lead: "尚未检查：准备时会检查每个文件、划分数据并生成可用于训练的版本。",
    classes: "类别，每行一个", classes_hint: "留空：沿用数据集自身的类别。", share: "验证集比例", share_hint: "用于自身没有划分的数据集。",
    seed: "划分种子", go: "准备", ready: "版本 {version} 已就绪。", report: "预检报告", version: "版本",
    training: "训练", validation: "验证", test: "测试", boxes: "标注框", empty: "无标注框", duplicates: "重复", leaks: "跨划分重复",
    split: "划分", made: "随机划分，种子 {seed}", kept: "数据集自带", by_class: "各类别标注框数", no_boxes: "还没有标注框：去标注一些。",
    clean: "没有文件被排除：全部可用。", left_out: "被排除的文件（按类型）", first: "其中最先的几个", file: "文件", problem: "问题",
    sample: "部分图像", all_images: "图像", open: "标注 {name}", boxes_count: "{count} 个框", delete_title: "删除 {name}？",
    lost_files: "上传的文件和所有已准备的版本将丢失（{size}）。", lost_boxes: "在此绘制的所有标注也将丢失。", lost_not: "登记的目录本身不受影响；由它生成的版本和标注将丢失。",
    deleted: "已删除。", kind_image: "损坏的图像", kind_label: "错误的标签", kind_label_without_image: "没有图像的标签", kind_missing_image: "不存在的图像",
    kind_annotation: "标注文件", kind_yaml: "YAML", task_none: "创建标注任务后可浏览所有图像。",
  },
});
