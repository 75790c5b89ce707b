# What a bank on Rollforward needs in a project: see docs/gcp.md.
resource "google_project_service" "needed" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "cloudresourcemanager.googleapis.com", # who may do what in the project
    "datastore.googleapis.com",            # the data
    "firestore.googleapis.com",            # the database itself
    "iam.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
  ])

  service            = each.key
  disable_on_destroy = false
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "rollforward"
  format        = "DOCKER"
  location      = var.region

  depends_on = [google_project_service.needed]
}
