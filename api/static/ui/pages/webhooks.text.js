import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "Webhooks", url: "URL", url_hint: "an http or https address that gets a signed POST for each event", events: "Events", events_hint: "none chosen: all", state: "State", actions: "Actions", test: "Send a test",
    switch_off: "Switch off", switch_on: "Switch on", add: "Add a webhook", none: "No webhook yet.", none_more: "Other programs can be told when a job starts, ends or fails:", made: "A new webhook", secret: "Secret",
    secret_once: "Its secret, by which the receiver checks what comes, is shown only now.", added: "Added.", description: "Description", scope: "Of whose jobs", scope_hint: "own: yours; workspace: those made in one; all: everybody's, for admins",
    workspace_id: "Workspace (its id)", scope_own: "your jobs", scope_workspace: "jobs of a workspace", scope_all: "all jobs", failing: "failing since {since}", enabled: "On", test_arrived: "It arrived: {status}.",
    test_failed: "It did not arrive: {error}", rotate: "New secret", rotate_title: "Give it a new secret?", rotate_text: "For a day, both the old and the new one sign.", rotated: "A new secret", delete: "Delete",
    delete_title: "Delete this webhook?", delete_lost: "The log of its deliveries is lost; what waits is not sent.", deleted: "Deleted.", made_at: "Made", paused: "Paused until", change: "Change", save: "Save", facts: "Details",
    deliveries: "Deliveries", pending: "Waiting", delivered: "Delivered", failed: "Failed", event: "Event", tries: "Tries", took: "Took", when: "When", look: "Look", redeliver: "Send again", redelivered: "It will be sent again.",
    every_state: "Every state", nothing_sent: "Nothing was sent yet.", nothing_sent_more: "The first job that changes shows here, and a test does.", payload: "What was sent", response: "What was answered", close: "Close",
  },
  zh: {
    title: "Webhook", url: "网址", url_hint: "http 或 https 地址；每个事件都会收到带签名的 POST 请求", events: "事件", events_hint: "不选则为全部", state: "状态", actions: "操作", test: "发送测试",
    switch_off: "停用", switch_on: "启用", add: "添加 Webhook", none: "还没有 Webhook。", none_more: "任务开始、结束或失败时可以通知其他程序：", made: "新的 Webhook", secret: "密钥",
    secret_once: "接收方用此密钥验证消息，密钥只显示这一次。", added: "已添加。", description: "描述", scope: "谁的任务", scope_hint: "own：自己的；workspace：某工作区的；all：所有人的（仅管理员）",
    workspace_id: "工作区编号", scope_own: "自己的任务", scope_workspace: "工作区的任务", scope_all: "所有任务", failing: "从{since}起失败", enabled: "已启用", test_arrived: "已送达：{status}。",
    test_failed: "未送达：{error}", rotate: "更换密钥", rotate_title: "更换密钥？", rotate_text: "一天之内新旧密钥同时签名。", rotated: "新密钥", delete: "删除",
    delete_title: "删除此 Webhook？", delete_lost: "投递记录将丢失，等待中的消息不再发送。", deleted: "已删除。", made_at: "创建时间", paused: "暂停至", change: "修改", save: "保存", facts: "详情",
    deliveries: "投递记录", pending: "等待中", delivered: "已送达", failed: "失败", event: "事件", tries: "尝试次数", took: "用时", when: "时间", look: "查看", redeliver: "重新发送", redelivered: "将重新发送。",
    every_state: "所有状态", nothing_sent: "还没有发送任何消息。", nothing_sent_more: "任务状态变化或发送测试后会显示在这里。", payload: "发送内容", response: "对方响应", close: "关闭",
  },
});
