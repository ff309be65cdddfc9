import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.OnesOwnSchedulesApi;
import org.openapitools.client.model.CreateSchedule;
import org.openapitools.client.model.UpdateSchedule;
import org.openapitools.client.model.Weekday;

public class Main {
    private static void must(boolean ok, String what) {
        if (!ok) throw new IllegalStateException(what);
    }

    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient();
        client.setBasePath(System.getenv("HTTP_URL"));
        client.setBearerToken(System.getenv("API_KEY"));
        OnesOwnSchedulesApi api = new OnesOwnSchedulesApi(client);
        CreateSchedule body = new CreateSchedule().name("Made").timeZone("Europe/Rome").isDefault(false);
        Long id = api.createSchedule(body, null, null, null, null).getData().getId();
        must(api.listSchedules(null, null).getData().stream().anyMatch(schedule -> schedule.getId().equals(id)), "it is not listed");
        Weekday day = api.getSchedule(id, null, null).getData().getAvailability().get(0).getDays().get(0);
        must(day == Weekday.MONDAY, "it has other hours");
        UpdateSchedule change = new UpdateSchedule().name("Changed");
        must(api.updateSchedule(id, change, null, null, null, null).getData().getName().equals("Changed"), "it has not changed");
        api.deleteSchedule(id, null, null, null, null);
        try {
            api.getSchedule(id, null, null);
            must(false, "no 404");
        } catch (ApiException failure) {
            must(failure.getCode() == 404, "it is " + failure.getCode());
            String code = org.openapitools.client.model.ErrorAnswer.fromJson(failure.getResponseBody()).getError().getCode();
            must(code.equals("NotFoundException"), "no typed 404");
        }
    }
}
