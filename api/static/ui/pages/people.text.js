import { table } from "../core/i18n.js";

export const t = table({
  en: {
    title: "People and tokens", name: "Name", role: "Role", since: "Since", actions: "Actions", tokens: "Tokens", users: "Users", add_user: "Add a user", password: "Password",
    password_hint: "left empty: the user has tokens only", builtin: "the local operator: whoever comes from this machine", role_of: "Role of {name}", role_set: "{name} is {role} now.",
    remove: "Remove", remove_user: "Remove {name}?", remove_user_lost: "Their tokens and sessions end at once.", remove_user_text: "Their jobs, datasets and models stay.",
    set_password: "Set password", password_of: "Password of {name}", password_set: "Password set.", new_password: "New password", old_password: "Present password",
    change_password: "Change your password", change_password_text: "You are signed out everywhere; tokens that you made stay.", your_tokens: "Your tokens", tokens_of: "Tokens of {name}",
    label: "Label", label_hint: "what it is for, such as laptop or CI", scopes: "May", scopes_hint: "run holds read, admin holds both; none chosen: all that its user has", expires_days: "Days until it ends",
    expires_hint: "left empty: valid until revoked", new_token: "New token", make: "Make it", token: "Token", token_made: "A new token", once: "It is shown only now. Keep it where nobody else reads it.",
    revoke: "Revoke", revoke_one: "Revoke {label}", revoke_title: "Revoke {label}?", revoke_lost: "Whoever uses it is refused from now on, for good.", revoked: "Revoked.", revoked_at: "revoked {time}",
    expired: "expired", no_end: "until revoked", made: "Made", used: "Last used", never: "never", ends: "Valid until", no_label: "no label", with_old: "with those that ended", close: "Close",
    no_tokens: "No token yet.", no_tokens_more: "Programs on other machines come with one. Make it here, or on the machine itself:", workspaces: "Workspaces", no_workspaces: "No workspace yet.",
    no_workspaces_more: "Members of a workspace may read the jobs and datasets that are made in it.", number: "id {id}", add_workspace: "Add a workspace", add_member: "Add a member", join_title: "Add to {workspace}",
    user_name: "The user's name", take_out: "Take out", leave_one: "Take {name} out of {workspace}", leave_title: "Take {name} out of {workspace}?", leave_text: "They no longer read what is made there; what they made stays.",
  },
  zh: {
    title: "用户与令牌", name: "名称", role: "角色", since: "创建时间", actions: "操作", tokens: "令牌", users: "用户", add_user: "添加用户", password: "密码",
    password_hint: "留空则该用户只能使用令牌", builtin: "本机操作员：从本机访问的人", role_of: "{name} 的角色", role_set: "{name} 现在是 {role}。",
    remove: "移除", remove_user: "移除 {name}？", remove_user_lost: "其令牌和会话立即失效。", remove_user_text: "其任务、数据集和模型会保留。",
    set_password: "设置密码", password_of: "{name} 的密码", password_set: "密码已设置。", new_password: "新密码", old_password: "当前密码",
    change_password: "修改密码", change_password_text: "所有设备都会退出登录；你创建的令牌保留。", your_tokens: "我的令牌", tokens_of: "{name} 的令牌",
    label: "标签", label_hint: "用途，例如笔记本电脑或 CI", scopes: "权限", scopes_hint: "run 包含 read，admin 包含两者；不选则拥有用户的全部权限", expires_days: "有效天数",
    expires_hint: "留空则在撤销前一直有效", new_token: "新建令牌", make: "创建", token: "令牌", token_made: "新令牌", once: "令牌只显示这一次，请妥善保存。",
    revoke: "撤销", revoke_one: "撤销 {label}", revoke_title: "撤销 {label}？", revoke_lost: "使用它的程序将立即且永久被拒绝。", revoked: "已撤销。", revoked_at: "{time}撤销",
    expired: "已过期", no_end: "直到撤销", made: "创建时间", used: "最近使用", never: "从未", ends: "有效期至", no_label: "无标签", with_old: "包括已失效的", close: "关闭",
    no_tokens: "还没有令牌。", no_tokens_more: "其他机器上的程序凭令牌访问。可在此创建，或在服务所在机器上运行：", workspaces: "工作区", no_workspaces: "还没有工作区。",
    no_workspaces_more: "工作区成员可以查看其中的任务和数据集。", number: "编号 {id}", add_workspace: "添加工作区", add_member: "添加成员", join_title: "添加到 {workspace}",
    user_name: "用户名", take_out: "移出", leave_one: "将 {name} 移出 {workspace}", leave_title: "将 {name} 移出 {workspace}？", leave_text: "其将无法再查看该工作区的内容；其创建的内容保留。",
  },
});
