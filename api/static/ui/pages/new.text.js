import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "New job", kind: "Kind of job", diffusion_pipe: "Diffusion model", diffusion_pipe_more: "LoRA or full fine-tune of an image or video model, with diffusion-pipe",
    ultralytics: "YOLO detector", ultralytics_more: "On a dataset with boxes, with ultralytics", kraken: "OCR model", kraken_more: "Text recognition or segmentation, with kraken",
    script: "Script", script_more: "Any Python script of yours, with cores, memory and GPUs of its own", preprocessing: "Preprocessing",
    preprocessing_more: "Videos and images into a captioned training set", unavailable: "Cannot be run here: {reason}", from: "The same again, with changes. First:",
    not_again: "What that job asked for cannot be sent again by a form:", left_out: "Fill in anew: these are never shown, or must differ", no_request: "The API of this service takes no such request.",
    bundled: "New here?", bundled_more: "A small model and pictures come with the service. It learns in a minute or two, on the CPU too.", fill_bundled: "Fill in the small training",
    clear: "Clear", start: "Start the job", start_more: "It waits in the queue until what it asks for is free.", started: "Queued.", sent: "What is sent", curl_more: "Where you are asked who you are, add -H 'Authorization: Token …'.",
    checked: "Checked; nothing was started. What the trainer would be given:", not_checked: "Not checked yet.",
    check_more: "The service looks at every field and every file that is named, and shows the configuration that the trainer would get.", check: "Check without starting",
  },
  zh: {
    title: "新建任务", kind: "任务类型", diffusion_pipe: "扩散模型", diffusion_pipe_more: "使用 diffusion-pipe 对图像或视频模型做 LoRA 或全量微调",
    ultralytics: "YOLO 检测器", ultralytics_more: "使用 ultralytics，在带标注框的数据集上训练", kraken: "OCR 模型", kraken_more: "使用 kraken 训练文字识别或版面分割",
    script: "脚本", script_more: "任意 Python 脚本，独占指定的核心、内存和 GPU", preprocessing: "预处理",
    preprocessing_more: "把视频和图片变成带描述的训练集", unavailable: "此处无法运行：{reason}", from: "修改后再次运行，原任务：",
    not_again: "该任务的请求无法通过表单再次发送：", left_out: "请重新填写：这些内容不会显示，或必须不同", no_request: "此服务的 API 不接受这种请求。",
    bundled: "第一次使用？", bundled_more: "服务自带一个小模型和一些图片，在 CPU 上一两分钟即可学会。", fill_bundled: "填入小型训练示例",
    clear: "清空", start: "启动任务", start_more: "任务会排队，直到所需资源空闲。", started: "已排队。", sent: "将要发送的内容", curl_more: "若需要身份验证，请加上 -H 'Authorization: Token …'。",
    checked: "检查通过，未启动任何任务。训练程序将得到：", not_checked: "尚未检查。",
    check_more: "服务会检查每个字段和引用的每个文件，并显示训练程序将得到的配置。", check: "仅检查，不启动",
  },
});
