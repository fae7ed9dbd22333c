// Names and explanations of the API's fields in other languages than its own. What is not here is shown as the API says it.
import { language } from "../core/i18n.js";

const NAMES = {
  zh: {
    description: "说明", model_type: "模型类型", dataset: "数据集", directory: "目录", path: "路径", num_repeats: "重复次数", resolutions: "分辨率", config: "配置", model: "模型", adapter: "适配器",
    type: "类型", rank: "秩", optimizer: "优化器", lr: "学习率", epochs: "轮数", micro_batch_size_per_gpu: "每块 GPU 的微批量", save_every_n_epochs: "每几轮保存权重",
    checkpoint_every_n_epochs: "每几轮保存检查点", num_gpus: "GPU 数量", gpu_id: "GPU 编号", wait: "排队等待", priority: "优先级", workspace_id: "工作区", max_runtime: "最长运行时间（秒）",
    max_retries: "最多重试次数", placement: "运行位置", tags: "标签", env: "环境变量", checkpoint_path: "检查点路径", diffusers_path: "Diffusers 路径", transformer_path: "Transformer 路径",
    vae_path: "VAE 路径", dtype: "数据类型", dropout: "丢弃率", betas: "动量系数", weight_decay: "权重衰减", eps: "数值稳定项", monitoring: "监控", output_dir: "输出目录", max_steps: "最多步数",
    warmup_steps: "预热步数", lr_scheduler: "学习率调度", gradient_clipping: "梯度裁剪", gradient_accumulation_steps: "梯度累积步数", pipeline_stages: "流水线段数", blocks_to_swap: "换出的块数",
    activation_checkpointing: "激活检查点", save_dtype: "保存的数据类型", caching_batch_size: "缓存批量", eval_datasets: "评估数据集", size_buckets: "尺寸桶", frame_buckets: "帧数桶",
    enable_ar_bucket: "启用宽高比桶", min_ar: "最小宽高比", max_ar: "最大宽高比", num_ar_buckets: "宽高比桶数", caption_prefix: "描述前缀", shuffle_tags: "打乱标签", mask_path: "遮罩路径", control_path: "控制图路径",
    path_id: "带描述的数据集", resume_from_checkpoint: "从检查点恢复",
    dataset_id: "数据集", version: "版本", model_name: "模型名称", base_model_id: "基础模型", imgsz: "图像尺寸", batch: "批量", device: "设备", pretrained: "预训练权重", time: "时长（小时）", patience: "耐心轮数",
    save_period: "保存间隔（轮）", cache: "缓存图像", workers: "加载进程数", seed: "随机种子", lr0: "初始学习率", lrf: "最终学习率系数", momentum: "动量", warmup_epochs: "预热轮数", classes: "类别",
    model_id: "OCR 模型", document_ids: "文档编号", lrate: "学习率", batch_size: "批量", augment: "数据增强", spec: "网络结构", lag: "耐心轮数",
    name: "名称", framework: "框架", script_path: "脚本路径", cpu: "CPU 核心数", memory: "内存（字节）", gpu: "GPU 数量", args: "参数", python: "Python 解释器",
    dataset_name: "数据集名称", video_directory: "视频目录", prompt_prefix: "提示词前缀", captioner: "描述生成器", caption_method: "描述详细程度", use_qwen_optimize: "用接口润色描述", qwen_api_key: "接口密钥",
    fps: "帧率", resolution: "分辨率", clip_seconds: "片段长度（秒）",
  },
};

/** By the API's own words: another wording is shown as it is, rather than with a meaning that it may no longer have. */
const HINTS = {
  zh: {
    "for people; lists search it": "供人阅读；列表可搜索", "lists filter by them": "列表可按标签筛选", "absolute, under an allowed root": "绝对路径，位于允许的根目录下",
    "side lengths or [width, height]; required unless size_buckets are given": "边长，或 [宽, 高]；未给出尺寸桶时必填", "what is trained beside the frozen model; left out: the whole model is trained": "在冻结的模型之外训练的部分；不填则训练整个模型",
    "left out as a whole: the default; any further key goes to the optimizer's class": "整体不填则用默认值；其他键传给优化器的类", "passes over the dataset": "遍历数据集的次数",
    "items a GPU and forward pass; or by resolution": "每块 GPU 每次前向的条目数；也可按分辨率给出", "steps, epochs or examples between two saved models": "两次保存模型之间的步数、轮数或样本数",
    "epochs between two states that can be resumed": "两个可恢复的检查点之间的轮数", "that many are leased together": "同时占用这么多块", "-1 or absent: the scheduler picks an idle one": "-1 或不填：由调度器选择空闲的一块",
    "queue for an explicit `gpu_id` that is busy; false: 409": "指定的 `gpu_id` 被占用时排队；false 则返回 409", "larger first": "数值大的优先", "a workspace of yours, whose members may then read the job": "您所在的工作区，其成员可以查看该任务",
    "seconds after which it is ended": "超过这么多秒即被结束", "further attempts when it fails, each after a longer pause": "失败后再试的次数，间隔逐次加长", "on a cluster: where an admin lets jobs choose that": "仅用于集群，且管理员允许任务自行选择时",
    "variables of the trainer's environment; some names are the service's own (422)": "训练程序的环境变量；部分名称由服务保留（422）", "variables of the script's environment; some names are the service's own (422)": "脚本的环境变量；部分名称由服务保留（422）",
    "prepared, or else prepared first": "尚未准备的会先行准备", "the dataset's version": "数据集的版本", "weights (yolov8n.pt), an architecture (yolov8n.yaml) or a registered model's id": "权重（yolov8n.pt）、结构（yolov8n.yaml）或已登记模型的编号",
    "a registered model to train further; wins over model_name": "继续训练的已登记模型；优先于 model_name", "`cpu`, or the number of a GPU": "`cpu`，或 GPU 的编号", "images a batch; -1: what fits; a fraction: of the GPU's memory": "每批图像数；-1：自动；小数：占显存的比例",
    "false: weights are an architecture only; auto: the architecture where weights are missing": "false：只用权重的结构；auto：缺少权重时只用结构", "hours; overrides epochs": "小时；优先于轮数", "epochs without improvement before it ends": "连续这么多轮没有改进即结束",
    "keep the weights every so many epochs": "每隔这么多轮保留一次权重", "keep images in memory": "把图像保留在内存中", "data loader processes; on a CPU there are none": "数据加载进程数；在 CPU 上没有", "share of the training images": "使用训练图像的比例", "the first N layers, or these": "前 N 层，或这些层",
    "at most; it ends earlier when it learns no more": "上限；不再进步时提前结束", "learning rate": "学习率", "cpu, cuda or cuda:N; absent: a GPU if there is one": "cpu、cuda 或 cuda:N；不填：有 GPU 则用 GPU", "the network in VGSL": "VGSL 描述的网络",
    "cores that it has for itself": "独占的核心数", "bytes; over it the job is ended": "字节；超出则任务被结束", "of the script; each reaches it as it is, through no shell": "脚本的参数；原样传入，不经过 shell", "the interpreter; absent: the service's own": "解释器；不填则用服务自己的",
    "a dataset's name, which must exist, or a number, which is kept as it is": "已有数据集的名称，或原样保留的数字", "letters, digits, `_`, `-`, `.`; taken at once, or 409": "字母、数字、`_`、`-`、`.`；立即占用，已存在则返回 409",
    "absolute, under the allowed roots; its videos and images": "绝对路径，位于允许的根目录下；处理其中的视频和图片", "stands before every caption (a trigger word)": "加在每条描述之前（触发词）",
    "absent: the first of openai, florence2, detector, sidecar, none that is configured": "不填：依次取 openai、florence2、detector、sidecar、none 中已配置的第一个", "how much openai and florence2 say": "openai 和 florence2 描述的详细程度",
    "rewrite florence2's and detector's captions through the configured endpoint": "用已配置的接口改写 florence2 和 detector 的描述", "for the configured endpoint; kept in memory only, never written anywhere": "用于已配置的接口；只保存在内存中，不写入任何地方",
    "a workspace of yours, whose members may read it": "您所在的工作区，其成员可以查看", "frames a second of every video; duration is kept": "每个视频的帧率；时长不变", "the shorter side (nothing is enlarged), or `[width, height]` to fill and cut": "短边长度（不放大），或 `[宽, 高]`：填满并裁切",
    "cut videos into items of this length": "把视频切成这样长的片段", "whose members may read the job; default: the dataset's": "其成员可以查看该任务；默认为数据集的工作区",
  },
};

/** Another name for a field, or undefined. */
export const fieldWord = (name) => NAMES[language.value]?.[name];

export const hintWord = (text) => HINTS[language.value]?.[text] ?? text;
