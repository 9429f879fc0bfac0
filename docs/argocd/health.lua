-- Argo CD's health check of Workflows. In the ConfigMap argocd-cm it is the value of the key
-- resource.customizations.health.perdure.io_Workflow (docs: "Custom Health Checks").
--
-- A run that goes on is Progressing, one that waits for somebody's word is Suspended, one that cannot go on without a
-- person and one that did not end well are Degraded. It knows no more than the conditions, so it is true of every phase.

local status = obj.status
if status == nil or status.conditions == nil then
  return { status = "Progressing", message = "The operator has not seen it yet" }
end
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not seen the latest change yet" }
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end

local function is_true(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

local function health(word)
  local finished = conditions.Finished
  if finished == nil then
    return { status = word, message = "" }
  end
  return { status = word, message = finished.reason .. ": " .. finished.message }
end

if is_true("Finished") then
  return health(is_true("Succeeded") and "Healthy" or "Degraded")
end
if is_true("Stalled") then
  return health("Degraded")
end
if is_true("Reconciling") then
  return health("Progressing")
end
return health("Suspended")
