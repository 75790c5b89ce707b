# An account for each program, with what it needs and no more.
locals {
  accounts = {
    sagarunner = { writes = true, hears = true, rings = true }
    projector  = { writes = true, hears = true, rings = false } # the read models
    bank       = { writes = true, hears = true, rings = true }
    verify     = { writes = false, hears = false, rings = false }
  }
}

resource "google_service_account" "of" {
  for_each = local.accounts

  account_id   = "rollforward-${each.key}"
  display_name = "Rollforward: ${each.key}"

  depends_on = [google_project_service.needed]
}

# This database and no other one of the project.
resource "google_project_iam_member" "database" {
  for_each = local.accounts

  project = var.project
  role    = each.value.writes ? "roles/datastore.user" : "roles/datastore.viewer"
  member  = google_service_account.of[each.key].member

  condition {
    title      = "only ${var.database}"
    expression = "resource.name == \"projects/${var.project}/databases/${var.database}\""
  }
}

resource "google_pubsub_topic_iam_member" "rings" {
  for_each = { for name, a in local.accounts : name => a if a.rings }

  topic  = google_pubsub_topic.doorbell.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.of[each.key].member
}

# To attach a subscription to the topic …
resource "google_pubsub_topic_iam_member" "hears" {
  for_each = { for name, a in local.accounts : name => a if a.hears }

  topic  = google_pubsub_topic.doorbell.name
  role   = "roles/pubsub.subscriber"
  member = google_service_account.of[each.key].member
}

# … and to make, use and delete it. No predefined role has these without more.
resource "google_project_iam_custom_role" "doorbell" {
  role_id     = "rollforwardDoorbell"
  title       = "Rollforward doorbell"
  description = "Has a subscription of its own for as long as it runs."
  permissions = [
    "pubsub.subscriptions.consume",
    "pubsub.subscriptions.create",
    "pubsub.subscriptions.delete",
  ]

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "hears" {
  for_each = { for name, a in local.accounts : name => a if a.hears }

  project = var.project
  role    = google_project_iam_custom_role.doorbell.id
  member  = google_service_account.of[each.key].member
}
