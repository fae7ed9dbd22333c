import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "Annotate", tasks: "Annotation tasks", none: "No annotation task yet. Choose a dataset above, or:", no_sets: "There is no dataset to annotate yet.", to_sets: "Add a dataset",
    make: "New task", dataset: "Dataset", version: "Version", more: "Classes, one a line", more_hint: "Empty: those of the dataset. More may follow its own, in their order.", start: "Start",
    progress: "Annotated", progress_of: "Annotated of {name}", classes: "Classes", created: "Made", delete: "Delete", delete_title: "Delete this task?",
    delete_text: "The boxes stay: they belong to the dataset.", deleted: "Deleted.", of: "{done} of {total}", gone: "(deleted dataset)", unprepared: "{name} (not prepared)",
  },
  zh: {
    title: "标注", tasks: "标注任务", none: "还没有标注任务。在上方选择数据集，或者：", no_sets: "还没有可标注的数据集。", to_sets: "添加数据集",
    make: "新建任务", dataset: "数据集", version: "版本", more: "类别，每行一个", more_hint: "留空：沿用数据集的类别。可在其原有类别之后追加。", start: "开始",
    progress: "已标注", progress_of: "{name} 的标注进度", classes: "类别", created: "创建时间", delete: "删除", delete_title: "删除此任务？",
    delete_text: "标注框会保留：它们属于数据集。", deleted: "已删除。", of: "{done} / {total}", gone: "（数据集已删除）", unprepared: "{name}（未准备）",
  },
});
