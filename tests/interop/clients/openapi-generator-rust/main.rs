use openapi::apis::ones_own_schedules_api::{self as api, GetScheduleError};
use openapi::apis::{configuration::Configuration, Error};
use openapi::models::{CreateSchedule, UpdateSchedule, Weekday};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let configuration = Configuration {
        base_path: std::env::var("HTTP_URL")?,
        bearer_access_token: Some(std::env::var("API_KEY")?),
        ..Configuration::default()
    };
    let body = CreateSchedule::new("Made".into(), "Europe/Rome".into(), false);
    let id = api::create_schedule(&configuration, body, None, None, None, None).await?.data.id;
    let listed = api::list_schedules(&configuration, None, None).await?;
    assert!(listed.data.iter().any(|schedule| schedule.id == id));
    let read = api::get_schedule(&configuration, id, None, None).await?;
    assert_eq!(read.data.availability[0].days[0], Weekday::Monday);
    let change = UpdateSchedule { name: Some("Changed".into()), ..UpdateSchedule::default() };
    let changed = api::update_schedule(&configuration, id, change, None, None, None, None).await?;
    assert_eq!(changed.data.name.as_deref(), Some("Changed"));
    api::delete_schedule(&configuration, id, None, None, None, None).await?;
    match api::get_schedule(&configuration, id, None, None).await {
        Err(Error::ResponseError(response)) => {
            assert_eq!(response.status, 404);
            match response.entity {
                // Of the statuses that have this type the generator's enum, which is untagged, takes the first.
                Some(GetScheduleError::Status401(body)) => assert_eq!(body.error.code, "NotFoundException"),
                other => panic!("no typed 404: {other:?}"),
            }
        }
        other => panic!("no 404: {other:?}"),
    }
    Ok(())
}
