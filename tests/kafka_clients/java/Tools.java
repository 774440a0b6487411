import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.common.utils.Exit;

/**
 * Apache Kafka's command line tools, one after the other in one JVM: each line of the input is a class and its arguments,
 * separated by tabs.  What a tool prints follows a line with its exit code and the number of its lines; -1: it did not end.
 */
public final class Tools {
  private static final class Ended extends RuntimeException {}

  public static void main(String[] given) throws Exception {
    long patience = Long.parseLong(given[0]) * 1000;
    PrintStream out = System.out;
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split("\t");
      AtomicInteger code = new AtomicInteger(-1);
      Exit.Procedure exit = (status, message) -> {
        code.compareAndSet(-1, status);
        throw new Ended();
      };
      Exit.setExitProcedure(exit);
      Exit.setHaltProcedure(exit);
      ByteArrayOutputStream printed = new ByteArrayOutputStream();
      PrintStream capture = new PrintStream(printed, true, StandardCharsets.UTF_8);
      System.setOut(capture);
      System.setErr(capture);
      Thread tool = new Thread(() -> run(words, code), words[0]);
      tool.setDaemon(true);
      tool.start();
      tool.join(patience);
      capture.flush();
      String text = printed.toString(StandardCharsets.UTF_8).stripTrailing();
      out.println(code.get() + " " + text.lines().count());
      text.lines().forEach(out::println);
      out.flush();
    }
    Runtime.getRuntime().halt(0);
  }

  private static void run(String[] words, AtomicInteger code) {
    try {
      String[] arguments = Arrays.copyOfRange(words, 1, words.length);
      Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) arguments);
      code.compareAndSet(-1, 0);
    } catch (ReflectiveOperationException | RuntimeException error) {
      Throwable cause = error.getCause() == null ? error : error.getCause();
      if (!(cause instanceof Ended)) {
        cause.printStackTrace();
        code.compareAndSet(-1, 1);
      }
    }
  }
}
